#include "core/train/needs.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/base/error.h"
#include "core/base/memory_limit.h"
#include "core/base/terminal.h"
#include "core/base/text.h"
#include "core/inspect/session.h"
#include "core/train/joint.h"

namespace espalier::train {
namespace {

/// The copies that a backend makes of the teacher's parameters. Graphs share them: one for each parameter and kernel.
class PackedCopies {
 public:
  void add(const lower::CallList& list) {
    for (const lower::Call& call : list.calls)
      for (const lower::Place& place : call.inputs)
        if (call.kept.elements > 0 && place.space == lower::Space::kParam) {
          copies_.emplace(std::pair(list.graph->def(list.params[place.at]).label, call.kernel), call.kept);
          break;  // a kernel packs one weight; biases are read where they lie
        }
  }
  uint64_t bytes(const io::TensorSource& weights) const {
    uint64_t sum = 0;
    for (const auto& [key, kept] : copies_)
      sum += kept.elements * (kept.element_bytes != 0 ? kept.element_bytes : size_of(original(weights, key.first).dtype));
    return sum;
  }
  /// Of the tensors that have a copy: their pages are let go once it is made.
  uint64_t replaced_bytes(const io::TensorSource& weights) const {
    std::set<std::string> names;
    for (const auto& [key, kept] : copies_) names.insert(key.first);
    uint64_t sum = 0;
    for (const std::string& name : names) sum += original(weights, name).bytes();
    return sum;
  }

 private:
  static TensorType original(const io::TensorSource& weights, const std::string& param) {
    return weights.get(param.substr(std::string_view(distill::kTeacherPrefix).size())).type;
  }
  std::map<std::pair<std::string, std::string>, lower::KeptCopies> copies_;
};

using Parts = std::vector<std::pair<std::string, uint64_t>>;

constexpr uint64_t kDriver = uint64_t{1} << 30;  // of a device: context, kernels' code, the libraries' handles; an allowance

uint64_t sum_of(const Parts& parts) {
  uint64_t sum = 0;
  for (const auto& [part, bytes] : parts) sum += bytes;
  return sum;
}

/// The students before and after the removals of the stage where both together take most. Of one that was never trained, only
/// weights and averages are there; of one that is new, all but the gradients.
Parts pruning_parts(const Recipe& recipe, const Models& models, const std::vector<StagePreview>& stages) {
  const bool with_ema = recipe.train.ema_decay.has_value();
  const std::string average = with_ema ? ", average" : "";
  const auto weights = [](const model::BlockTree& tree) {
    uint64_t bytes = 0;
    for (const model::TensorSpec& spec : model::tensor_specs(tree)) bytes += f32(spec.shape).bytes();
    return bytes;
  };
  Parts most;
  Structure before = make_structure(models.base, models.start);
  bool trained = false;
  for (size_t i = 0; i < stages.size(); ++i) {
    if (!stages[i].step.removals.empty()) {
      const model::BlockTree& after = stages[i].after.tree;
      const Parts parts{
          {fmt::format("student before stage {} prunes it: weights{}", i, (trained ? ", gradients, optimizer" : "") + average),
           trained ? training_bytes(before.tree, recipe.train.optimizer, with_ema) : weights(before.tree) * (with_ema ? 2 : 1)},
          {"student after it: weights, optimizer" + average,
           training_bytes(after, recipe.train.optimizer, with_ema) - weights(after)}};
      if (sum_of(parts) > sum_of(most)) most = parts;
    }
    before = stages[i].after;
    trained = trained || recipe.stages[i].steps > 0;
  }
  return most;
}

double flops_of(const Graph& graph) {
  double sum = 0;
  for (const Node& node : graph.nodes()) {
    if (node.kind != NodeKind::kOp) continue;
    const Cost cost = (*node.op->cost)(graph.call(node));
    sum += cost.flops + cost.other_flops;
  }
  return sum;
}

/// The one with most parameters, and those with losses that it has not.
std::vector<size_t> stages_that_may_need_most(const Recipe& recipe, const std::vector<StagePreview>& stages) {
  const size_t largest = largest_stage(stages);
  std::vector<size_t> chosen{largest};
  for (size_t i = 0; i < stages.size(); ++i)
    for (const LossSpec& loss : recipe.losses)
      if (loss.in_stage(i) && !loss.in_stage(largest)) {
        chosen.push_back(i);
        break;
      }
  return chosen;
}

}  // namespace

uint64_t Needs::memory_bytes() const { return sum_of(memory); }
uint64_t Needs::device_bytes() const { return sum_of(device); }

Needs needs_of(const Recipe& recipe, const Models& models, const std::vector<StagePreview>& stages, const Services& services,
               const Losses& losses, data::Source& source) {
  release_freed_memory();
  const uint64_t without_graphs = resident_memory_bytes();
  const StagePreview& largest = stages[largest_stage(stages)];
  const Structure& structure = largest.after;
  const bool with_ema = recipe.train.ema_decay.has_value();
  const model::BlockTree* teacher = models.teacher ? &models.teacher->tree : nullptr;
  const bool shares = services.teacher_values && teacher != nullptr;
  uint64_t training = 0, validation = 0, of_teacher = 0, step_values = 0;
  double flops = 0;
  Work largest_work;
  PackedCopies packed;
  DeviceParams params;  // where they are on a device
  uint64_t staged = 0;
  const auto count = [&](const lower::CallList& list) {
    packed.add(list);
    params.add(list);
  };
  std::vector<lower::CallList> lists;  // kept to the end: a run holds such graphs too, and they count
  for (const size_t stage : stages_that_may_need_most(recipe, stages)) {
    uint64_t training_here = 0, validation_here = 0, of_teacher_here = 0, staged_here = 0;
    const model::BlockTree& student = stages[stage].after.tree;
    lists.clear();
    for (const data::BatchShape& shape : source.buckets()) {
      distill::JointGraph joint = joint_graph(recipe, losses, stage, stages[stage].after, teacher, shape, nullptr);
      double teacher_flops = 0;
      if (shares) {  // as for a run that finds nothing kept: it makes all values itself
        distill::TeacherCut cut = distill::cut_teacher(joint);
        lower::CallList alone = compile_for_training(cut.teacher, services.backend);
        of_teacher_here += alone.arena_bytes + bytes_of(cut.values, DType::kF32);
        step_values = std::max(step_values, bytes_of(cut.values, services.teacher_values->dtype));
        teacher_flops = flops_of(*alone.graph);
        count(alone);
        staged_here += staged_bytes(alone, student);
        lists.push_back(std::move(alone));
        joint = std::move(cut.student);
      }
      lower::CallList calls = training_calls(joint, training_options(recipe.train), services.backend);
      if (recipe.train.precision != DType::kF32) inspect::require_kernels(calls, services.backend, recipe.train.precision);
      training_here += calls.arena_bytes;
      staged_here += staged_bytes(calls, student);
      if (const Work work = work_of(calls); work.product_flops > largest_work.product_flops) largest_work = work;
      flops = std::max(flops, (teacher_flops + flops_of(*calls.graph)) * static_cast<double>(recipe.train.accumulate));
      count(calls);
      lists.push_back(std::move(calls));
      if (source.validation_batches() == 0) continue;
      lower::CallList validating = validation_calls(joint, services.backend);
      validation_here += validating.arena_bytes;
      staged_here += staged_bytes(validating, student);
      count(validating);
      lists.push_back(std::move(validating));
    }
    training = std::max(training, training_here), validation = std::max(validation, validation_here);
    of_teacher = std::max(of_teacher, of_teacher_here), staged = std::max(staged, staged_here);
  }
  Needs needs;
  const std::string average = with_ema ? ", average" : "";
  const uint64_t state = training_bytes(structure.tree, recipe.train.optimizer, with_ema);
  const uint64_t gradients = static_cast<uint64_t>(largest.parameters) * 4;
  const bool on_device = has_own_memory(services.backend);
  Parts values{{"student: weights, gradients, optimizer" + average, state}, {"values of forward and backward", training}};
  if (validation > 0) values.emplace_back("values of validation", validation);
  if (of_teacher > 0) values.emplace_back("values of the teacher by itself", of_teacher);
  if (on_device) {
    needs.device = std::move(values);
    if (models.teacher) needs.device.emplace_back("teacher's weights, as they are computed with", params.bytes());
    needs.device.emplace_back("values of the update", update_bytes(structure.tree, recipe.train, services.backend));
    needs.device.emplace_back("batches, losses, constants", staged);
    needs.device.emplace_back("driver and libraries, an allowance", kDriver);
    needs.memory = {{"student: weights, optimizer" + average + ", for checkpoints", state - gradients}};
  } else {
    needs.memory = std::move(values);
  }
  if (step_values > 0) needs.memory.emplace_back("a batch's file of the teacher's values", step_values);
  if (models.teacher) {
    const io::TensorSource& weights = *models.teacher->weights;
    uint64_t bytes = 0;
    for (const std::string& name : weights.names()) bytes += weights.get(name).type.bytes();
    const bool keeps = !on_device && !recipe.train.teacher_mapped;
    needs.memory.emplace_back("teacher's weights, as the file has them", bytes - (keeps ? packed.replaced_bytes(weights) : 0));
    if (keeps) needs.memory.emplace_back("teacher's weights, packed for the backend", packed.bytes(weights));
  }
  needs.memory.emplace_back("program, graphs, and what is read already", resident_memory_bytes());
  Parts pruning = pruning_parts(recipe, models, stages);
  pruning.emplace_back("program, and what is read already", without_graphs);
  needs.pruning = sum_of(pruning) > sum_of(needs.memory);
  if (needs.pruning) needs.memory = std::move(pruning);
  needs.step_flops = flops;
  needs.step_work = largest_work;
  needs.shared_batch_bytes = step_values;
  const uint64_t checkpoint = state - gradients;
  const bool keeps_before =
      std::any_of(recipe.stages.begin(), recipe.stages.end(), [](const StageSpec& s) { return s.until.has_value(); });
  needs.student_bytes = static_cast<uint64_t>(stages.back().parameters) * size_of(recipe.train.save_dtype) * (with_ema ? 2 : 1);
  needs.disk_bytes =
      checkpoint * static_cast<uint64_t>(recipe.train.keep_checkpoints + 1 + (keeps_before ? 1 : 0)) + needs.student_bytes;
  return needs;
}

std::string memory_table(const Parts& parts) {
  terminal::Table table({terminal::Table::Align::kLeft, terminal::Table::Align::kRight});
  for (const auto& [part, bytes] : parts) table.row({part, human_bytes(bytes)});
  table.row({"sum", human_bytes(sum_of(parts))});
  return table.text();
}

void require_memory(const Needs& needs, const std::shared_ptr<lower::Backend>& backend) {
  constexpr const char* kLessToTrain =
      "a smaller batch_size (with accumulate), recompute_above_mib, no [train.ema], or teacher_weights = \"mapped\" need less";
  if (!needs.device.empty() && backend->memory_bytes() > 0 && needs.device_bytes() > backend->memory_bytes())
    throw UserError(fmt::format("[memory] the run needs {} of the device's memory, and {} has {}:\n{}{}",
                                human_bytes(needs.device_bytes()), backend->name(), human_bytes(backend->memory_bytes()),
                                memory_table(needs.device),
                                "precision = \"bf16\", recompute_above_mib, the optimizer adamw8bit, a smaller batch_size (with "
                                "accumulate) or no [train.ema] need less"));
  const uint64_t available = available_memory_bytes() + resident_memory_bytes();  // the sum counts what is held already
  if (needs.memory_bytes() <= available) return;
  const char* less = needs.pruning ? "an optimizer with less state, no [train.ema], or a student that `espalier prune` has cut "
                                     "before ([student]) need less"
                                   : kLessToTrain;
  throw UserError(fmt::format("[memory] the run needs at least {}, and {} can be had:\n{}{}", human_bytes(needs.memory_bytes()),
                              human_bytes(available), memory_table(needs.memory), less));
}

}  // namespace espalier::train
