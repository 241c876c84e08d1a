#include "core/train/preview.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/io/memory_source.h"

namespace espalier::train {
namespace {

/// The weights at the start under the names that they have in `tree`, a cut of the base.
io::TensorSourcePtr renamed(const model::BlockTree& cut, const io::TensorSourcePtr& base_weights) {
  std::vector<std::pair<std::string, std::string>> names;
  for (const model::TensorSpec& spec : model::tensor_specs(cut)) {
    if (!base_weights->contains(spec.origin)) return nullptr;  // of a student that starts pruned: structure alone is looked at
    names.emplace_back(spec.name, spec.origin);
  }
  return std::make_shared<io::RenamedTensorSource>(base_weights, std::move(names));
}

}  // namespace

std::vector<StagePreview> preview_stages(const Recipe& recipe, const Models& models, const Services& services) {
  std::vector<StagePreview> stages;
  Structure now = make_structure(models.base, models.start);
  for (size_t i = 0; i < recipe.stages.size(); ++i) {
    StagePreview stage;
    if (recipe.stages[i].prune) {
      try {
        const auto pruner = services.make_pruner(*recipe.stages[i].prune);
        const model::BlockTree cut = now.plan.removals.empty() ? models.base.tree : prune::apply_plan(models.base.tree, now.plan);
        const io::TensorSourcePtr weights = now.plan.removals.empty() ? models.weights : renamed(cut, models.weights);
        stage.step = prune::run_strategy(*pruner, now.tree, weights, recipe.train.seed);
        if (!stage.step.removals.empty())
          now = make_structure(models.base,
                               now.plan.removals.empty() ? stage.step : prune::compose(models.base.tree, now.plan, stage.step));
      } catch (const UserError& error) {
        throw UserError(fmt::format("{}: stage {}: {}", recipe.stages[i].prune->place, i, error.what()));
      }
    }
    stage.after = now;
    for (const model::TensorSpec& spec : model::tensor_specs(now.tree)) stage.parameters += spec.shape.elements();
    stages.push_back(std::move(stage));
  }
  return stages;
}

size_t largest_stage(const std::vector<StagePreview>& stages) {
  const auto fewer = [](const StagePreview& a, const StagePreview& b) { return a.parameters < b.parameters; };
  return static_cast<size_t>(std::max_element(stages.begin(), stages.end(), fewer) - stages.begin());
}

}  // namespace espalier::train
