#pragma once
#include <memory>

#include "core/data/source.h"
#include "core/train/recipe.h"

namespace espalier::train {
/// The source that a recipe's [data] names. Errors: UserError, all faults of the files at once.
std::unique_ptr<data::Source> open_data(const Recipe& recipe);
}  // namespace espalier::train
