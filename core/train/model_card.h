#pragma once
#include <string>

#include "core/train/write_run.h"

namespace espalier::train {
/// README.md of a run, in the form of a model card: teacher and licence, what was removed, losses, steps, sizes.
std::string model_card(const FinishedRun& run);
}  // namespace espalier::train
