#pragma once
// What the first stages of a run are made by, and their outcome handed from one run to another: runs that begin alike need to
// train the common stages once.

#include <cstddef>
#include <filesystem>
#include <string>

#include "core/train/recipe.h"

namespace espalier::train {

/// Everything of the recipe that the state after its first `stages` stages depends on, as text: recipes with equal texts come to
/// the same bits there. Left out are later stages, losses that are in none of the first ones, and what only files depend on
/// (save_dtype, checkpoint_every, keep_checkpoints). A learning rate that decays over the whole run depends on the length of the
/// run.
std::string prefix_text(const Recipe& recipe, size_t stages);

/// Keeps `checkpoint` of the run in `run`, with its metrics up to there, as the folder `to`. To be called when it has just been
/// written. Guarantees: whole or not at all; files of the checkpoint are linked where the volume can. Errors: UserError.
void save_prefix(const std::filesystem::path& run, const std::filesystem::path& checkpoint, const std::filesystem::path& to);

/// Makes `run`, which must not be there, a run of `recipe` that stands where `from` was saved: run_recipe with `resume` goes on.
void begin_from_prefix(const Recipe& recipe, const std::filesystem::path& from, const std::filesystem::path& run);

}  // namespace espalier::train
