#include "core/train/preview.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/io/memory_source.h"
#include "core/train/loss_weights.h"
#include "core/train/stage_pruners.h"

namespace espalier::train {
namespace {

std::vector<model::TensorSpec> cut_by(const prune::RemovalPlan& plan, const model::BlockTree& base) {
  return model::tensor_specs(plan.removals.empty() ? base : prune::apply_plan(base, plan));
}

/// The weights at the start under the names that the student has once `plan` has cut the base.
io::TensorSourcePtr weights_after(const Models& models, const prune::RemovalPlan& plan) {
  if (models.weights == nullptr) return nullptr;
  std::map<std::string, std::string> at_start;  // the base's name → the name in the weights
  for (const model::TensorSpec& spec : cut_by(models.start, models.base.tree)) at_start.emplace(spec.origin, spec.name);
  std::vector<std::pair<std::string, std::string>> names;
  for (const model::TensorSpec& spec : cut_by(plan, models.base.tree))
    names.emplace_back(spec.name, at_start.at(spec.origin));  // stages only remove from what is there at the start
  return std::make_shared<io::RenamedTensorSource>(models.weights, std::move(names));
}

/// file:line:column of `key` of stage `i`, or of the stage.
std::string place_of_stage(const Recipe& recipe, size_t i, const char* key) {
  const toml::array* rows = recipe.root->get_as<toml::array>("stage");
  const toml::table* row = rows != nullptr ? rows->get_as<toml::table>(i) : nullptr;
  if (row == nullptr) return recipe.file.string();
  const toml::table* inner = row->get_as<toml::table>(key);
  return io::place_of(inner != nullptr ? *inner : *row, recipe.file.string());
}

}  // namespace

std::string metric_fault(const std::string& metric, int64_t steps, const StagePreview& stage, bool held_out) {
  std::vector<std::string> keys;
  const auto add = [&](const std::string& key) {
    if (steps > 0) keys.push_back(key);  // the numbers of the last step
    if (held_out && key != "grad_norm") keys.push_back("val/" + key);
  };
  add("total");
  add("grad_norm");
  for (const distill::JointTerm& term : stage.terms) add(term.key);
  for (const distill::JointTerm& term : stage.logged) add(term.key);
  for (const std::string& each : stage.metrics) {
    if (held_out) keys.push_back("val/" + each);
    if (held_out && metric.rfind("val/" + each + "/", 0) == 0) return "";
  }
  if (std::find(keys.begin(), keys.end(), metric) != keys.end()) return "";
  std::string text = "there is no metric '" + printable(metric) + "'" + did_you_mean(metric, keys);
  if (metric.rfind("val/", 0) == 0 && !held_out) return text + "; val/ metrics need [data] validation_rows";
  if (steps == 0) text += "; a stage of no steps has val/ metrics alone";
  return text;
}

std::vector<StagePreview> preview_stages(const Recipe& recipe, const Models& models, const Services& services,
                                         const Losses& losses, const data::Source& source, const prune::Calibrate& calibrate) {
  const model::BlockTree* teacher = models.teacher ? &models.teacher->tree : nullptr;
  const bool held_out = source.validation_batches() > 0;
  std::vector<StagePreview> stages;
  std::vector<std::vector<distill::JointTerm>> terms;
  ErrorList errors;
  PrunerState pruner;
  Structure now = make_structure(models.base, models.start);
  for (size_t i = 0; i < recipe.stages.size(); ++i) {
    const StageSpec& spec = recipe.stages[i];
    StagePreview stage;
    if (spec.prune) {
      try {
        StageRemovals removals =
            stage_removals(recipe, services, calibrate, {i, 0, &now.tree, weights_after(models, now.plan)}, pruner);
        stage.step = std::move(removals.plan);
        pruner = std::move(removals.state);
        if (!stage.step.removals.empty())
          now = make_structure(models.base,
                               now.plan.removals.empty() ? stage.step : prune::compose(models.base.tree, now.plan, stage.step));
      } catch (const UserError& error) {
        throw UserError(fmt::format("{}: stage {}: {}", spec.prune->place, i, error.what()));
      }
    }
    if (spec.teacher) try {
        teacher_of(recipe, models, i);
      } catch (const UserError& error) {
        errors.add(fmt::format("{}: stage {}: {}", place_of_stage(recipe, i, "teacher"), i, error.what()));
      }
    const bool other_losses = i > 0 && std::any_of(recipe.losses.begin(), recipe.losses.end(), [i](const LossSpec& loss) {
                                return loss.in_stage(i) != loss.in_stage(i - 1);
                              });
    if (stages.empty() || !stage.step.removals.empty() || other_losses) {
      distill::JointGraph joint = joint_graph(recipe, losses, i, now, teacher, source.buckets().at(0), nullptr);
      stage.terms = std::move(joint.terms), stage.logged = std::move(joint.logged);
      terms.push_back(stage.terms);
    } else {
      stage.terms = terms.back();
      stage.logged = stages.back().logged;
    }
    stage.metrics = losses.metrics;
    for (size_t m = 0; m < stage.metrics.size() && stages.empty(); ++m) {
      const auto same = [&](const distill::JointTerm& term) { return term.key == stage.metrics[m]; };
      if (stage.metrics[m] == "total" || std::any_of(stage.terms.begin(), stage.terms.end(), same) ||
          std::any_of(stage.logged.begin(), stage.logged.end(), same))
        errors.add(fmt::format("{}: val/{} is a loss's number: give the metric another name", recipe.metrics[m].plugin.place,
                               printable(stage.metrics[m])));
    }
    if (spec.until)
      if (const std::string fault = metric_fault(spec.until->metric, spec.steps, stage, held_out); !fault.empty())
        errors.add(fmt::format("{}: stage {}: [until] {}", place_of_stage(recipe, i, "until"), i, fault));
    stage.after = now;
    for (const model::TensorSpec& tensor : model::tensor_specs(now.tree)) stage.parameters += tensor.shape.elements();
    stages.push_back(std::move(stage));
  }
  check_globs(terms, recipe.losses, errors);
  errors.throw_if_any();
  return stages;
}

size_t largest_stage(const std::vector<StagePreview>& stages) {
  const auto fewer = [](const StagePreview& a, const StagePreview& b) { return a.parameters < b.parameters; };
  return static_cast<size_t>(std::max_element(stages.begin(), stages.end(), fewer) - stages.begin());
}

}  // namespace espalier::train
