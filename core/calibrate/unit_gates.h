#pragma once
// From a unit's name to its gates.

#include <string>
#include <vector>

#include "core/model/block_tree.h"
#include "core/prune/strategy.h"

namespace espalier::calibrate {

/// The gates of a model's units, by index into the input `gates` of its gated graph.
class UnitGates {
 public:
  explicit UnitGates(const model::BlockTree& tree);
  size_t count() const { return paths_.size(); }
  /// Gates of one unit, ascending. Errors: UserError for no such unit (nearest), one that is not removable, one without a gate.
  std::vector<size_t> of(const prune::UnitName& unit) const;
  /// The unit itself. Errors: UserError for no such unit (nearest), one that is not removable.
  const prune::Unit& find(const prune::UnitName& unit) const;

 private:
  std::vector<std::string> paths_;  // of gates
  std::vector<prune::Unit> units_;
};

}  // namespace espalier::calibrate
