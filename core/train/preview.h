#pragma once
// What a recipe's stages would do, before anything is trained.

#include <vector>

#include "core/train/models.h"
#include "core/train/services.h"

namespace espalier::train {

/// One stage as it goes when every gate is met.
struct StagePreview {
  prune::RemovalPlan step;  // in the student before it
  Structure after;
  int64_t parameters = 0;
};

/// Asks the pruners of all stages in order, each on the structure that the ones before it leave.
/// Errors: UserError with the stage's place when a pruner refuses its student: better now than after days of training.
/// Cost: that of the pruners; one that looks at weights reads those of the student at the start.
std::vector<StagePreview> preview_stages(const Recipe& recipe, const Models& models, const Services& services);

/// The stage that trains most parameters: the one that needs most memory.
size_t largest_stage(const std::vector<StagePreview>& stages);

}  // namespace espalier::train
