#include "core/report/stage_facts.h"

#include "core/base/error.h"

namespace espalier::report {
namespace {

model::BlockTree cut_of(const model::BlockTree& base, const prune::RemovalPlan& plan) {
  return plan.removals.empty() ? base : prune::apply_plan(base, plan);
}

/// Block path in the student → in the base. The one resnet of a mid block stands for the whole of it: its term compares it with
/// the teacher's whole mid output.
std::map<std::string, std::string> places_of(const model::BlockTree& cut) {
  std::map<std::string, std::string> places;
  for (const model::BlockRef& ref : model::block_refs(cut)) places.emplace(ref.path, ref.origin);
  return places;
}

prune::RemovalPlan removal_of(const model::BlockTree& student, const std::vector<std::string>& paths) {
  prune::RemovalPlan plan{model::structure_hash(student.config), {}, {}};
  for (const std::string& path : paths) plan.removals.push_back({.path = path, .reason = "replayed"});
  return plan;
}

}  // namespace

int64_t parameters_of(const model::BlockTree& tree) {
  int64_t count = 0;
  for (const model::TensorSpec& spec : model::tensor_specs(tree)) count += spec.shape.elements();
  return count;
}

std::vector<StageFacts> stage_facts(const train::FinishedRun& run) {
  const model::BlockTree& base = run.models.base.tree;
  const std::vector<train::StageRecord>& history = run.state.history;
  prune::RemovalPlan standing = run.models.start;
  std::vector<StageFacts> stages;
  for (size_t i = 0; i < history.size(); ++i) {
    const train::StageRecord& record = history[i];
    StageFacts stage{.stage = record.stage, .attempt = record.attempt, .first_step = record.step};
    stage.end_step = i + 1 < history.size() ? history[i + 1].step : run.state.position.step;
    stage.gate = record.gate;
    stage.value = record.value;
    stage.outcome = record.outcome;
    stage.kept = record.outcome.find("rolled back") == std::string::npos;
    prune::RemovalPlan plan = standing;
    if (!record.removed.empty()) {
      const model::BlockTree before = train::make_structure(run.models.base, standing).tree;
      const auto places = places_of(cut_of(base, standing));
      for (const std::string& path : record.removed) stage.removed.push_back(places.at(path));
      const prune::RemovalPlan step = removal_of(before, record.removed);
      plan = standing.removals.empty() ? step : prune::compose(base, standing, step);
    }
    const model::BlockTree cut = cut_of(base, plan);
    stage.parameters = parameters_of(cut);
    stage.places = places_of(cut);
    if (cut.mid && cut.mid->resnets.size() == 1 && !cut.mid->attention) stage.places["mid_block.resnets.0"] = cut.mid->origin;
    if (stage.kept) standing = plan;
    stages.push_back(std::move(stage));
  }
  const std::string replayed = model::structure_hash(train::make_structure(run.models.base, standing).tree.config);
  ESP_CHECK(replayed == model::structure_hash(run.student.structure().tree.config));
  return stages;
}

std::map<std::string, int64_t> removed_blocks(const train::FinishedRun& run, const std::vector<StageFacts>& stages) {
  std::map<std::string, int64_t> removed;
  for (const prune::Removal& removal : run.models.start.removals) removed.emplace(removal.path, -1);
  for (const StageFacts& stage : stages)
    if (stage.kept)
      for (const std::string& path : stage.removed) removed.emplace(path, stage.stage);
  return removed;
}

}  // namespace espalier::report
