#pragma once
// The rows of a removal plan laid over the teacher's tree: for every block, which row removes it. Internal to core/prune.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/prune/block_address.h"
#include "core/prune/removal_plan.h"

namespace espalier::prune {

/// Index of a row of the plan; kKept where no row removes the block.
using Row = int;
constexpr Row kKept = -1;

struct LayerCut {
  Row resnet = kKept;
  Row attention = kKept;
  std::map<size_t, Row> blocks;  // of the attention module, by index
};

struct StageCut {
  Row whole = kKept;
  Row sampler = kKept;
  std::vector<LayerCut> layers;
};

/// `mid.layers[i]` holds resnets.i and, at 0, attentions.0; `mid.whole` the mid block.
struct Cut {
  std::vector<StageCut> down, up;
  StageCut mid;
  size_t inner_stages = 0;  // how many innermost stages go, on each side
  std::vector<StageCut>& side(Side s) { return s == Side::kUp ? up : down; }
  const std::vector<StageCut>& side(Side s) const { return s == Side::kUp ? up : down; }
};

/// Where the errors of one plan go, with the place of each row in its file.
struct PlanErrors {
  const RemovalPlan& plan;
  std::string file;
  ErrorList list;
  void at(Row row, const std::string& message);
};

/// Lays the rows over the tree. Errors: unknown path, duplicate row, a row inside a removed block, a part that no row may
/// name.
Cut lay_rows(const model::BlockTree& teacher, PlanErrors& errors);
/// Checks that every region's two ends are equal and that some config can say what is left (with kPadded: but for the mid
/// block's depth); sets `cut.inner_stages`.
void check_cut(const model::BlockTree& teacher, Cut& cut, Expressible expressible, PlanErrors& errors);

}  // namespace espalier::prune
