#include "core/train/model_card.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "core/base/text.h"

namespace espalier::train {
namespace {

namespace fs = std::filesystem;

/// The `license:` line of the model card beside a teacher; "" where there is none.
std::string licence_line(const model::Model& teacher) {
  for (fs::path folder : {teacher.path, teacher.path.parent_path()}) {
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

}  // namespace

std::string model_card(const FinishedRun& run) {
  const Recipe& recipe = run.recipe;
  const auto count = [](const model::BlockTree& tree) {
    int64_t parameters = 0;
    for (const model::TensorSpec& spec : model::tensor_specs(tree)) parameters += spec.shape.elements();
    return parameters;
  };
  const int64_t before = count(run.models.teacher ? run.models.teacher->tree : run.models.base.tree),
                after = run.student.parameters();
  const std::string licence = run.models.teacher ? licence_line(*run.models.teacher) : "";
  std::string text = "---\nlibrary_name: diffusers\ntags: [text-to-image, distillation]\n";
  if (!licence.empty()) text += "license: " + licence + "\n";
  text += "---\n\n# " + (run.models.teacher ? "A smaller " + name_of_model(run.models.teacher->path) : std::string("A UNet")) +
          "\n\n";
  if (run.models.teacher)
    text += fmt::format("A UNet distilled by espalier from `{}`{}: {} of {} parameters ({:.1f}%).\n\n",
                        name_of_model(run.models.teacher->path),
                        licence.empty() ? " (its model card names no licence)" : ", licence " + licence, with_commas(after),
                        with_commas(before), 100.0 * static_cast<double>(after) / static_cast<double>(before));
  else
    text += fmt::format("A UNet trained by espalier from its structure alone: {} parameters.\n\n", with_commas(after));
  text += "It is in `student/unet` (raw weights";
  text += recipe.train.ema_decay ? "; their moving average in `student-ema/unet`)" : ")";
  text += fmt::format(", as {}, and opens with `UNet2DConditionModel.from_pretrained`.\n\n", name_of(recipe.train.save_dtype));
  text += "## Removed\n\n" + removed_text(run.student.structure()) + "\n## Losses\n\n";
  for (const LossSpec& loss : recipe.losses) text += loss_text(loss);
  text += fmt::format(
      "\n## Training\n\n{} steps of {} samples, {} prediction, {} schedule, {} at a learning rate of {} ({}), seed {}, on {} "
      "rows.\n"
      "The recipe is `recipe.resolved.toml`, the metrics are `metrics.jsonl`, the origin of every tensor is `origin.json`.\n\n"
      "Method: Gupta et al., arXiv 2401.02677.\n",
      with_commas(run.state.position.step), recipe.train.batch_size * recipe.train.accumulate,
      recipe.predicts_v ? "velocity" : "noise", recipe.schedule.name, recipe.train.optimizer.use, recipe.train.optimizer.lr,
      recipe.train.lr_schedule.use, recipe.train.seed, with_commas(run.source.rows()));
  return text;
}

}  // namespace espalier::train
