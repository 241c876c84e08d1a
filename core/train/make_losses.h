#pragma once
#include "core/data/source.h"
#include "core/train/joint.h"
#include "core/train/services.h"

namespace espalier::train {

/// The losses of a recipe, and what its metrics need of the graph. Errors: those of the plugins, and of RunMetrics.
Losses make_losses(const Recipe& recipe, const Services& services, const data::Source& source);

}  // namespace espalier::train
