#pragma once
// What pruning asks of a strategy. Owned by the room that calls it; `plugins/` implements it over the C ABI.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/io/tensor_source.h"
#include "core/model/block_tree.h"
#include "core/prune/removal_plan.h"

namespace espalier::prune {

enum class UnitKind : int32_t { kTransformerBlock = 1, kAttention, kResnet, kPair, kMidBlock, kMidTail, kStage, kModule };

/// A removable region (or a block that is only listed), priced at batch 1, sample_size², 77 tokens.
///
/// One path may have two units: a resnet in a stage with attention is listed as kResnet (not removable, with the reason)
/// and as kPair. A removable pair of a down stage needs one of the mirror up stage as well: its skip partners say which.
struct Unit {
  UnitKind kind = UnitKind::kModule;
  std::string path;    // in the current student
  std::string module;  // what holds it
  int64_t index = 0, siblings = 0;
  int64_t parameters = 0;
  double flops = 0, bytes = 0;
  bool removable = false;
  std::string why_not;
  std::vector<int64_t> in_shape, out_shape;  // N,H,W,C
  std::vector<std::string> skip_partners;    // resnets of the mirror stage that read its skip, or that make it
  std::vector<std::string> rows;             // block paths that its removal means, in the plan
};

/// Every unit of a tree in execution order. Cost: builds the graph once for FLOPs.
std::vector<Unit> list_units(const model::BlockTree& tree);

struct StrategyInput {
  const std::vector<Unit>& units;
  std::string config_json;
  io::TensorSourcePtr weights;  // null on a lone config
  int32_t stage = 0;
  uint64_t seed = 0;
  std::map<std::string, double> metrics;
};

struct StrategyRows {
  struct Row {
    std::string path;
    UnitKind kind;
    std::string reason;
  };
  std::vector<Row> rows;
  std::vector<std::string> notes;
  bool done = true;
};

class PruneStrategy {
 public:
  virtual ~PruneStrategy() = default;
  virtual std::string id() const = 0;
  /// Errors: UserError with the plugin's text when it refuses the model.
  virtual StrategyRows next(const StrategyInput& input) = 0;
};

/// The rows of one call of a strategy as a plan on `tree`, whose units are `units`; the same row twice counts once.
/// Errors: UserError with every row that names no unit (nearest) or one that is not removable (why not).
RemovalPlan plan_of(const model::BlockTree& tree, const std::vector<Unit>& units, const StrategyRows& rows,
                    const std::string& id);

/// Asks `strategy` until it is done and gives its stages as one plan on `teacher`. `weights` may be null.
/// Errors: those of the strategy, of plan_of and of apply_plan; UserError when it never says that it is done.
RemovalPlan run_strategy(PruneStrategy& strategy, const model::BlockTree& teacher, const io::TensorSourcePtr& weights,
                         uint64_t seed, Expressible expressible = Expressible::kNow);

}  // namespace espalier::prune
