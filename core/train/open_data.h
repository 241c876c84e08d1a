#pragma once
#include <memory>

#include "core/data/source.h"
#include "core/train/models.h"
#include "core/train/recipe.h"

namespace espalier::train {

/// The source that a recipe's [data] names. Errors: UserError, all faults of the files at once.
std::unique_ptr<data::Source> open_data(const Recipe& recipe);

/// Whether teacher and student can be trained on `source`: channels of the latents, widths of both text embeddings.
/// Errors: UserError that names the data, the model and both numbers, for all that differ. Cost: nothing is read.
void check_data_fits(const Recipe& recipe, const Models& models, const data::Source& source);

}  // namespace espalier::train
