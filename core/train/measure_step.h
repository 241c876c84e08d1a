#pragma once
// How long a step takes, as two real ones show it.

#include <cstddef>

#include "core/train/models.h"
#include "core/train/preview.h"
#include "core/train/trainer.h"

namespace espalier::train {

/// Makes the student of `stage` and two updates of it, and takes the time of the second: the first one packs the teacher's
/// weights. Nothing is written. Seconds. Errors: those of a step.
double measure_step_s(const Recipe& recipe, const Models& models, const std::vector<StagePreview>& stages, size_t stage,
                      const Services& services, const Losses& losses, data::Source& source);

}  // namespace espalier::train
