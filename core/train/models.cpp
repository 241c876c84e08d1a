#include "core/train/models.h"

#include "core/base/error.h"
#include "core/train/initial_weights.h"

namespace espalier::train {
namespace {

namespace fs = std::filesystem;

/// plan.toml and origin.json stand beside unet/, or beside config.json of a bare UNet folder.
fs::path beside(const model::Model& model, const char* file) {
  if (!fs::is_directory(model.path)) return {};
  for (const fs::path& folder : {model.path, model.path.parent_path()})
    if (fs::is_regular_file(folder / file) && (folder == model.path || model.path.filename() == "unet")) return folder / file;
  return {};
}

void need_weights(const model::Model& model, const char* what) {
  if (!model.has_weights())
    throw UserError("[" + model.path.string() + "] the " + what + " has no weights; name a folder that has them" +
                    (std::string(what) == "student" ? ", or give init = \"random\" in [student]" : ""));
}

prune::OriginMap identity_map(const model::BlockTree& tree) { return prune::origin_map(tree, tree); }

void open_student(const Recipe& recipe, Models& models) {
  const model::Model& student = models.student.emplace(model::load_model(*recipe.student));
  const std::string hash = models.teacher ? model::structure_hash(models.teacher->config) : "";
  models.weights = recipe.random_student ? initial_weights(student.tree, recipe.train.seed) : student.weights;
  if (!recipe.random_student) need_weights(student, "student");
  models.base = {student.tree, std::nullopt};
  if (!models.teacher) return;
  const fs::path origins = beside(student, "origin.json"), plan = beside(student, "plan.toml");
  if (origins.empty()) {
    models.notes.push_back(student.path.string() + ": no origin.json beside it, features pair by name");
    return;
  }
  prune::OriginMap map = prune::read_origins(origins);
  if (map.teacher != hash) {
    models.notes.push_back(origins.string() + ": is of another teacher, features pair by name");
    return;
  }
  if (!plan.empty()) {
    models.base = {models.teacher->tree, identity_map(models.teacher->tree)};
    models.start = prune::read_plan(plan);
    const Structure made = make_structure(models.base, models.start);
    if (model::structure_hash(made.tree.config) == model::structure_hash(student.config)) return;
    models.notes.push_back(plan.string() +
                           ": does not lead from the teacher to this student, removals are counted from the student");
    models.start = {};
  }
  models.base = {student.tree, std::move(map)};
}

}  // namespace

Models open_models(const Recipe& recipe) {
  Models models;
  if (recipe.teacher) {
    models.teacher.emplace(model::load_model(*recipe.teacher));
    need_weights(*models.teacher, "teacher");
  }
  if (recipe.student) {
    open_student(recipe, models);
  } else {
    models.base = {models.teacher->tree, identity_map(models.teacher->tree)};
    models.weights = models.teacher->weights;
  }
  models.start.teacher = model::structure_hash(models.base.tree.config);
  return models;
}

std::optional<model::Model> teacher_of(const Recipe& recipe, const Models& models, size_t stage) {
  for (size_t i = stage + 1; i-- > 0;) {
    if (!recipe.stages[i].teacher) continue;
    model::Model teacher = model::load_model(*recipe.stages[i].teacher);
    need_weights(teacher, "teacher");
    const std::string first = model::structure_hash(models.teacher->config), now = model::structure_hash(teacher.config);
    if (first != now)
      throw UserError("[" + teacher.path.string() + "] the teacher of stage " + std::to_string(i) +
                      " has another structure than the first one (" + now + ", not " + first +
                      "); teachers in succession share one structure");
    return teacher;
  }
  return models.teacher;
}

}  // namespace espalier::train
