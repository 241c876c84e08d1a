#pragma once
// The models that a recipe names: teacher, the base of its removals, the student at the start.

#include <optional>

#include "core/model/model.h"
#include "core/train/recipe.h"
#include "core/train/student.h"

namespace espalier::train {

struct Models {
  std::optional<model::Model> teacher;  // the first stage's
  std::optional<model::Model> student;  // of [student]
  Base base;
  prune::RemovalPlan start;        // on base: what is removed before the first stage
  io::TensorSourcePtr weights;     // of the student at the start
  std::vector<std::string> notes;  // what a user should know
};

/// Opens them. Without [student], the student starts as the teacher. With one that has plan.toml and origin.json of this teacher
/// beside it, removals go on from there; otherwise they are counted from the student's own structure.
///
/// Errors: UserError; a teacher or student without weights, unless init = "random".
Models open_models(const Recipe& recipe);

/// The teacher of `stage`: that of the last stage up to it that names one, else the recipe's. Its structure must be the first
/// teacher's. Errors: UserError with both structures' hashes.
std::optional<model::Model> teacher_of(const Recipe& recipe, const Models& models, size_t stage);

}  // namespace espalier::train
