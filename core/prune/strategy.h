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
#include "core/prune/calibration.h"
#include "core/prune/removal_plan.h"

namespace espalier::prune {

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

/// Of a whole model, priced as a unit is.
struct ModelPrice {
  int64_t parameters = 0;
  double flops = 0;
};
ModelPrice price_of(const model::BlockTree& tree);

/// One question to a strategy. References and pointers are the caller's.
struct StrategyInput {
  const std::vector<Unit>& units;          // of the current student
  const model::BlockTree* tree = nullptr;  // the student itself; null: its units are all that is known
  ModelPrice price = {};                   // of the student
  std::string config_json = {};
  io::TensorSourcePtr weights = nullptr;  // null on a lone config
  int32_t stage = 0;                      // how often it was asked before
  uint64_t seed = 0;
  std::map<std::string, double> metrics = {};
  CalibrationPtr calibration = nullptr;  // null without data
};

struct StrategyRows {
  struct Row {
    std::string path;
    UnitKind kind;
    std::string reason;
  };
  std::vector<Row> rows;
  std::vector<std::string> notes;
  std::map<std::string, std::string> artifacts = {};  // file name → bytes, to be kept with what the rows lead to
  bool done = true;
};

class PruneStrategy {
 public:
  virtual ~PruneStrategy() = default;
  virtual std::string id() const = 0;
  /// Errors: UserError with the plugin's text when it refuses the model.
  virtual StrategyRows next(const StrategyInput& input) = 0;
  /// What a fresh strategy with the same parameters must `load` to go on as this one would. Empty: it has no state.
  virtual std::string save() const { return {}; }
  /// Errors: UserError for bytes that are not its own.
  virtual void load(const std::string& state);
};

/// Makes what `strategy` may learn of a student. May be empty, or give null: then there is no data.
using Calibrate = std::function<CalibrationPtr(const model::BlockTree& student, const io::TensorSourcePtr& weights)>;

/// How a strategy is asked.
struct AskOptions {
  io::TensorSourcePtr weights = nullptr;  // of the model that is pruned, under its own names; null on a lone config
  uint64_t seed = 0;
  std::map<std::string, double> metrics = {};
  Calibrate calibrate = {};
  int32_t asked = 0;       // how often it was asked before, in stages behind this one
  bool to_the_end = true;  // until it is done; else once
  int32_t most = 10'000;   // questions: one that never says that it is done is a fault
  Expressible expressible = Expressible::kNow;
};

/// What came of it.
struct Asked {
  RemovalPlan plan;  // on the model that was given
  std::map<std::string, std::string> artifacts;
  int32_t asked = 0;  // how often, with those before
  bool done = false;
};

/// The rows of one call of a strategy as a plan on `tree`, whose units are `units`; the same row twice counts once.
/// Errors: UserError with every row that names no unit (nearest) or one that is not removable (why not).
RemovalPlan plan_of(const model::BlockTree& tree, const std::vector<Unit>& units, const StrategyRows& rows,
                    const std::string& id);

/// Asks `strategy` about `model`, then about what its rows leave, until it is done (or once), and gives its removals as one plan
/// on `model`. Errors: those of the strategy, of plan_of and of apply_plan; UserError when it never says that it is done.
Asked run_strategy(PruneStrategy& strategy, const model::BlockTree& model, const AskOptions& options);

}  // namespace espalier::prune
