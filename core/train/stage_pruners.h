#pragma once
// The pruners of a recipe's stages. Stages that follow one another with equal `prune` tables are one schedule: one pruner, asked
// once in each of them and to the end in the last.

#include <map>
#include <string>

#include "core/prune/strategy.h"
#include "core/train/checkpoint.h"
#include "core/train/metrics.h"
#include "core/train/recipe.h"
#include "core/train/services.h"

namespace espalier::train {

/// One question to the pruner of a stage.
struct StageQuestion {
  size_t stage = 0;
  int64_t attempt = 0;  // how often its gate has failed: each halves what is removed
  const model::BlockTree* student = nullptr;
  io::TensorSourcePtr weights = nullptr;
  NamedNumbers numbers = {};  // the newest of the run
};

/// What a stage removes, as a plan on its student, and where that leaves the pruner.
struct StageRemovals {
  prune::RemovalPlan plan;
  std::map<std::string, std::string> artifacts;
  PrunerState state;
};

/// Asks the pruner of a stage that has one; `before` is the state that the stage before left (of another schedule: not used).
///
/// A failed attempt is asked the same question, and every second unit of its rows is removed, down to none. A half that no config
/// can say is completed by another of the units, or the other half is taken. Errors: those of the strategy and of plans.
StageRemovals stage_removals(const Recipe& recipe, const Services& services, const prune::Calibrate& calibrate,
                             const StageQuestion& question, const PrunerState& before);

/// Whether the stage after `stage` asks the same pruner on.
bool schedule_goes_on(const Recipe& recipe, size_t stage);

/// Makes what pruners may learn on the recipe's data: batches 0 to [calibration] batches - 1, from a source of its own that is
/// opened when first asked for. A model that comes again with equal weights is not looked at again.
prune::Calibrate calibrate_on_data(const Recipe& recipe, const std::shared_ptr<lower::Backend>& backend);

}  // namespace espalier::train
