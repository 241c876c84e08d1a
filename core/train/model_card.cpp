#include "core/train/model_card.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "core/base/text.h"

namespace espalier::train {
namespace {

namespace fs = std::filesystem;

/// The `license:` line of the model card beside a teacher; "" where there is none.
std::string licence_line(const fs::path& teacher) {
  for (const fs::path& folder : {teacher, teacher.parent_path()}) {
    std::ifstream file(folder / "README.md");
    for (std::string line; std::getline(file, line);)
      if (line.rfind("license:", 0) == 0) return printable(line.substr(8 + (line.size() > 8 && line[8] == ' ' ? 1 : 0)));
  }
  return "";
}

std::string name_of_model(const fs::path& path) {
  const fs::path name = path.filename() == "unet" ? path.parent_path().filename() : path.filename();
  return name.empty() ? path.string() : name.string();
}

std::string removed_text(const Structure& structure) {
  std::string text;
  for (const prune::Removal& removal : structure.plan.removals)
    text += fmt::format("- `{}`{}{}\n", removal.path, removal.reason.empty() ? "" : ": ", removal.reason);
  return text.empty() ? "Nothing.\n" : text;
}

std::string loss_text(const LossSpec& loss) {
  std::string text = fmt::format("- `{}`, weight {}", loss.plugin.id, loss.weight);
  if (loss.start > 0) text += fmt::format(", from step {}", loss.start);
  if (loss.end > 0) text += fmt::format(", up to step {}", loss.end);
  return text + "\n";
}

/// "`a`, licence x, then `b` (its model card names no licence)".
std::string teachers_text(const std::vector<fs::path>& teachers) {
  std::string text;
  for (const fs::path& teacher : teachers) {
    const std::string licence = licence_line(teacher);
    text += (text.empty() ? "`" : ", then `") + name_of_model(teacher) + "`";
    text += licence.empty() ? " (its model card names no licence)" : ", licence " + licence;
  }
  return text;
}

/// What the card's own `license:` says: the teachers' where all name one and the same.
std::string common_licence(const std::vector<fs::path>& teachers) {
  std::string common;
  for (const fs::path& teacher : teachers) {
    const std::string licence = licence_line(teacher);
    if (licence.empty() || (!common.empty() && licence != common)) return "";
    common = licence;
  }
  return common;
}

std::string where_text(const Recipe& recipe, CardOf of) {
  std::string text;
  if (of == CardOf::kStudent) text = "It is in `unet` (raw weights)";
  if (of == CardOf::kEma) text = "It is in `unet` (the moving average of the weights)";
  if (of == CardOf::kRun)
    text = recipe.train.ema_decay ? "It is in `student/unet` (raw weights; their moving average in `student-ema/unet`)"
                                  : "It is in `student/unet` (raw weights)";
  return text +
         fmt::format(", as {}, and opens with `UNet2DConditionModel.from_pretrained`.\n\n", name_of(recipe.train.save_dtype));
}

/// "1,000 steps", with those of failed attempts beside them.
std::string steps_text(const Position& at) {
  std::string text = with_commas(at.planned) + " steps";
  if (at.step > at.planned) text += " (and " + with_commas(at.step - at.planned) + " that a failed gate took back)";
  return text;
}

}  // namespace

std::vector<fs::path> teachers_of(const FinishedRun& run) {
  std::vector<fs::path> teachers;
  if (!run.models.teacher) return teachers;
  teachers.push_back(run.models.teacher->path);
  for (const StageSpec& stage : run.recipe.stages)
    if (stage.teacher && *stage.teacher != teachers.back()) teachers.push_back(*stage.teacher);
  return teachers;
}

std::string model_card(const FinishedRun& run, CardOf of) {
  const Recipe& recipe = run.recipe;
  const auto count = [](const model::BlockTree& tree) {
    int64_t parameters = 0;
    for (const model::TensorSpec& spec : model::tensor_specs(tree)) parameters += spec.shape.elements();
    return parameters;
  };
  const int64_t before = count(run.models.teacher ? run.models.teacher->tree : run.models.base.tree),
                after = run.student.parameters();
  const std::vector<fs::path> teachers = teachers_of(run);
  const std::string licence = common_licence(teachers);
  std::string text = "---\nlibrary_name: diffusers\ntags: [text-to-image, distillation]\n";
  if (!licence.empty()) text += "license: " + licence + "\n";
  text += "---\n\n# " + (teachers.empty() ? std::string("A UNet") : "A smaller " + name_of_model(teachers[0])) + "\n\n";
  if (!teachers.empty())
    text +=
        fmt::format("A UNet distilled by espalier from {}: {} of {} parameters ({:.1f}%).\n\n", teachers_text(teachers),
                    with_commas(after), with_commas(before), 100.0 * static_cast<double>(after) / static_cast<double>(before));
  else
    text += fmt::format("A UNet trained by espalier from its structure alone: {} parameters.\n\n", with_commas(after));
  text += where_text(recipe, of);
  text += "## Removed\n\n" + removed_text(run.student.structure()) + "\n## Losses\n\n";
  for (const LossSpec& loss : recipe.losses) text += loss_text(loss);
  text += fmt::format(
      "\n## Training\n\n{} of {} samples, {} prediction, {} schedule, {} at a learning rate of {} ({}), seed {}, on {} rows.\n",
      steps_text(run.state.position), recipe.train.batch_size * recipe.train.accumulate, recipe.predicts_v ? "velocity" : "noise",
      recipe.schedule.name, recipe.train.optimizer.use, recipe.train.optimizer.lr, recipe.train.lr_schedule.use,
      recipe.train.seed, with_commas(run.source.rows()));
  if (run.services.teacher_values && run.services.teacher_values->dtype != DType::kF32)
    text +=
        fmt::format("The student was compared with the teacher's values as {}.\n", name_of(run.services.teacher_values->dtype));
  text += of == CardOf::kRun ? "The recipe is `recipe.resolved.toml`, the metrics are `metrics.jsonl`, the " : "The ";
  text += "origin of every tensor is `origin.json`.\n\nMethod: Gupta et al., arXiv 2401.02677.\n";
  return text;
}

}  // namespace espalier::train
