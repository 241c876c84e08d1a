#pragma once
// distill: a recipe from its first line to the student.

#include <filesystem>

#include "core/base/error.h"
#include "core/train/recipe.h"
#include "core/train/services.h"

namespace espalier::train {

/// Whoever watches the run said that it goes no further. Its folder has a checkpoint that it can go on from.
class Halted : public Error {
 public:
  using Error::Error;
};

struct RunOptions {
  std::filesystem::path out;
  bool resume = false;
};

/// Runs the recipe in a folder of its own, or takes such a run up again from its newest good checkpoint.
///
/// Guarantees: a resumed run gives the bits of an unbroken one; a checkpoint, a student and every report appear whole or not at
/// all. Errors: UserError; Error when a step is not finite; Interrupted, after a checkpoint, when the user asks to stop; Halted
/// likewise, when services.watcher does.
void run_recipe(const Recipe& recipe, const RunOptions& options, const Services& services);

}  // namespace espalier::train
