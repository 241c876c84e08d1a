#pragma once
// What of a training graph can be computed a second time, unit by unit, and what each costs.

#include <cstdint>
#include <set>
#include <vector>

#include "core/ir/graph.h"
#include "core/passes/liveness.h"

namespace espalier::passes {

/// The forward nodes of a block (a resnet, a transformer block, a sampler, an attention module without its transformer blocks)
/// that the backward pass needs and that can run again from what crosses the block's border.
struct Unit {
  struct Again {
    uint32_t node = 0, needed_by = 0;  // the first backward node that it would run again for
    uint64_t bytes = 0;                // of its values
  };
  std::vector<Again> again;  // none: there is nothing to gain
  double flops = 0;          // of them, elementwise work included
};

class Repeatable {
 public:
  /// `graph` must outlive it. Cost: linear in nodes.
  explicit Repeatable(const Graph& graph);

  const std::vector<Unit>& units() const { return units_; }
  /// The graph with the `chosen` units run again: each node directly before the first backward node that needs it, in the
  /// graph's order. A node whose first run nothing reads any more runs the second time only.
  Schedule schedule(const std::vector<bool>& chosen) const;

 private:
  uint32_t maker(Value v) const { return graph_.info(v).node; }
  Value memory(Value v) const;
  std::set<uint32_t> overwritten() const;
  void find_late();
  void find_units();
  void find_repeatable();
  void find_again();
  std::vector<uint32_t> ancestors(uint32_t node, const std::vector<bool>& among, std::vector<bool>& done) const;
  std::vector<bool> first_runs(const std::vector<bool>& twice) const;

  const Graph& graph_;
  std::vector<bool> late_;        // by node: of the backward pass, or after it
  std::vector<int> unit_;         // by node; kNoUnit for late and frozen ones too
  std::vector<bool> repeatable_;  // by node
  std::vector<Unit> units_;
};

}  // namespace espalier::passes
