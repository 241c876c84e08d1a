#include "core/train/step.h"

#include <chrono>

#include "core/ir/builder.h"
#include "core/ops/ema.h"
#include "core/ops/squared_norm.h"

namespace espalier::train {
namespace {

constexpr const char *kNorm = "n.", *kEma = "ema.";

std::string slot_name(const std::string& tensor, const std::string& slot) { return slot + "." + tensor; }

}  // namespace

BatchStep::BatchStep(const distill::JointGraph& joint, const std::optional<TrainingOptions>& training, Student& student,
                     const Teacher& teacher, const std::shared_ptr<lower::Backend>& backend, std::shared_ptr<TeacherStep> values)
    : values_(std::move(values)), terms_(joint.terms.size()), logged_(joint.logged.size()) {
  lower::CallList list = training ? training_calls(joint, *training, backend) : validation_calls(joint, backend);
  exec::ExecOptions options;
  options.timed = training.has_value() && !has_own_memory(backend);  // where each call would have to be waited for
  options.progress = false;
  options.params = teacher.params;
  options.mapped = teacher.mapped;
  bound_ = std::make_unique<BoundExecutor>(std::move(list), backend, of_joint_graph(teacher.weights), options);
  if (values_ != nullptr) values_->bind(*bound_);
  for (const Output& output : bound_->executor().list().graph->outputs())
    if (output.name == "output" || output.name == "target" || output.name == "teacher_output")
      predictions_.emplace(output.name, bound_->executor().list().graph->type(output.value).shape);
  for (TrainedTensor& tensor : student.tensors()) {
    bound_->input(tensor.name, tensor.weight, true);
    if (!training) continue;
    bound_->output(gradient_name(tensor.name), tensor.gradient);
    if (training->accumulate) bound_->input(gradient_name(tensor.name), tensor.gradient);
  }
}

StepResult BatchStep::run(const BatchName& name, const data::Batch& batch, const std::vector<float>& alpha_bars,
                          const std::vector<float>& weights) {
  StepResult result;
  result.terms.resize(terms_);
  result.logged.resize(logged_);
  std::vector<float> signal;
  for (float t : batch.tensors.at("timestep").values) signal.push_back(alpha_bars.at(static_cast<size_t>(t)));
  const auto bind_batch = [&](BoundExecutor& executor) {
    for (const auto& [tensor, values] : batch.tensors) executor.input(tensor, values.values.data(), true);
    executor.input("alpha_bar", signal.data(), true);
  };
  if (values_ != nullptr) values_->make(name, bind_batch);
  bind_batch(*bound_);
  bound_->input("loss_weights", weights.data());
  bound_->output("total", &result.total);
  bound_->output("terms", result.terms.data());
  if (logged_ > 0) bound_->output("logged", result.logged.data());
  for (auto& [output, values] : predictions_) {
    result.predictions[output].shape = values;
    result.predictions[output].values.resize(static_cast<size_t>(values.elements()));
    bound_->output(output, result.predictions[output].values.data());
  }
  const auto begin = std::chrono::steady_clock::now();
  bound_->run();
  run_ms_ = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

StepTime BatchStep::last_time() const {
  StepTime time;
  if (values_ != nullptr) time.teacher = values_->run_ms(), time.files = values_->file_ms();
  const lower::CallList& list = bound_->executor().list();
  const std::vector<double>& ms = bound_->executor().call_ms();
  if (ms.empty()) time.student = run_ms_;
  for (size_t i = 0; i < ms.size(); ++i) {
    const Node& node = list.graph->node(list.calls[i].node);
    const bool backward = node.grad_of.present() || node.recompute;
    (node.frozen ? time.teacher : backward ? time.backward : time.student) += ms[i];
  }
  return time;
}

UpdateGraphs update_graphs(const std::vector<model::TensorSpec>& tensors, const OptimizerSpec& optimizer, bool with_ema) {
  UpdateGraphs made;
  made.norms.name = "norms", made.update.name = "update";
  Builder of_norms(made.norms), b(made.update);
  const Value hyper = b.input("hyper", f32({4}));
  const Value decay = with_ema ? b.input("decay", f32({1})) : Value{};
  for (const model::TensorSpec& tensor : tensors) {
    const TensorType type = f32(tensor.shape);
    of_norms.output(kNorm + tensor.name, ops::squared_norm(of_norms, of_norms.input(gradient_name(tensor.name), type)));
    const Value weight = b.input(tensor.name, type), gradient = b.input(gradient_name(tensor.name), type);
    std::vector<Value> slots;
    const std::vector<Slot> specs = slots_of(optimizer, type.shape);
    for (const Slot& slot : specs) slots.push_back(b.input(slot_name(tensor.name, slot.name), slot.type));
    const std::vector<Value> now = append_step(b, optimizer, weight, gradient, slots, hyper);
    b.output(tensor.name, now[0]);
    for (size_t k = 0; k < specs.size(); ++k) b.output(slot_name(tensor.name, specs[k].name), now[k + 1]);
    if (with_ema) b.output(kEma + tensor.name, ops::ema(b, b.input(kEma + tensor.name, type), now[0], decay));
  }
  return made;
}

Update::Update(Student& student, const OptimizerSpec& optimizer, const std::shared_ptr<lower::Backend>& backend) {
  const bool with_ema = !student.tensors().empty() && student.tensors()[0].ema != nullptr;
  std::vector<model::TensorSpec> specs;
  for (const TrainedTensor& tensor : student.tensors()) {
    specs.emplace_back();
    specs.back().name = tensor.name;
    specs.back().shape = tensor.weight.type().shape;
  }
  const UpdateGraphs graphs = update_graphs(specs, optimizer, with_ema);
  exec::ExecOptions options;
  options.progress = false;
  options.interruptible = false;
  norms_ = std::make_unique<BoundExecutor>(compile_for_training(graphs.norms, backend), backend, nullptr, options);
  step_ = std::make_unique<BoundExecutor>(compile_for_training(graphs.update, backend), backend, nullptr, options);
  squares_.resize(student.tensors().size());
  step_->input("hyper", hyper_.data());
  if (with_ema) step_->input("decay", &decay_);
  for (size_t i = 0; i < student.tensors().size(); ++i) {
    TrainedTensor& tensor = student.tensors()[i];
    norms_->input(gradient_name(tensor.name), tensor.gradient);
    norms_->output(kNorm + tensor.name, &squares_[i]);
    step_->input(tensor.name, tensor.weight);
    step_->output(tensor.name, tensor.weight);
    step_->input(gradient_name(tensor.name), tensor.gradient);
    const std::vector<Slot> specs = slots_of(optimizer, tensor.weight.type().shape);
    for (size_t k = 0; k < specs.size(); ++k) {
      step_->input(slot_name(tensor.name, specs[k].name), tensor.slots[k]);
      step_->output(slot_name(tensor.name, specs[k].name), tensor.slots[k]);
    }
    if (!with_ema) continue;
    step_->input(kEma + tensor.name, *tensor.ema);
    step_->output(kEma + tensor.name, *tensor.ema);
  }
}

const std::vector<float>& Update::squared_norms() {
  norms_->run();
  return squares_;
}

void Update::step(const std::array<float, 4>& hyper, float ema_decay) {
  hyper_ = hyper;
  decay_ = ema_decay;
  step_->run();
}

}  // namespace espalier::train
