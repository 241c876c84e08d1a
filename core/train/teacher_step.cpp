#include "core/train/teacher_step.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>

#include "core/base/error.h"
#include "core/base/half.h"
#include "core/base/sha256.h"
#include "core/ir/hash.h"
#include "core/train/joint.h"

namespace espalier::train {
namespace {

using Clock = std::chrono::steady_clock;
double ms_since(Clock::time_point begin) { return std::chrono::duration<double, std::milli>(Clock::now() - begin).count(); }

/// Name of the folder for values of `graph`: runs with equal names compute equal bits.
std::string key_of(const Graph& graph, const std::vector<distill::TeacherValue>& values, const Teacher& teacher,
                   const std::shared_ptr<lower::Backend>& backend, bool held_out) {
  std::string text = held_out ? teacher.shared_of_held_out : teacher.shared_of_training;
  text += fmt::format("backend {}{}\ngraph {:016x}\n", backend == nullptr ? "reference" : backend->describe(),
                      teacher.mapped ? ", weights mapped" : "", structural_hash(graph));
  for (const distill::TeacherValue& value : values) text += value.name + " " + to_string(value.type) + "\n";
  text += name_of(teacher.shared->spec().dtype);
  return sha256_hex(text).substr(0, 32);
}

}  // namespace

TeacherStep::TeacherStep(const distill::TeacherCut& cut, const Teacher& teacher, const std::shared_ptr<lower::Backend>& backend)
    : graph_(cut.teacher),
      values_(cut.values),
      teacher_(teacher),
      backend_(backend),
      training_key_(key_of(graph_, values_, teacher, backend, false)),
      held_out_key_(key_of(graph_, values_, teacher, backend, true)) {
  for (const distill::TeacherValue& value : values_) {
    ESP_CHECK(value.type.dtype == DType::kF32);
    buffers_.emplace_back(static_cast<size_t>(value.type.shape.elements()));
  }
}

void TeacherStep::bind(BoundExecutor& student) const {
  for (size_t i = 0; i < values_.size(); ++i) student.input(values_[i].name, buffers_[i].data());
}

void TeacherStep::make(const BatchName& batch, const std::function<void(BoundExecutor&)>& bind_inputs) {
  run_ms_ = file_ms_ = 0;
  if (values_.empty()) return;
  const std::string& key = batch.held_out ? held_out_key_ : training_key_;
  auto begin = Clock::now();
  const bool found = teacher_.shared->read(key, batch, values_, buffers_);
  file_ms_ = ms_since(begin);
  if (found) return;
  begin = Clock::now();
  run(bind_inputs);
  run_ms_ = ms_since(begin);
  begin = Clock::now();
  if (teacher_.shared->spec().dtype == DType::kF16) round_to_f16();
  teacher_.shared->write(key, batch, values_, buffers_);
  file_ms_ += ms_since(begin);
}

void TeacherStep::run(const std::function<void(BoundExecutor&)>& bind_inputs) {
  if (bound_ == nullptr) {
    exec::ExecOptions options;
    options.progress = false;
    options.params = teacher_.params;
    options.mapped = teacher_.mapped;
    bound_ = std::make_unique<BoundExecutor>(compile_for_training(graph_, backend_), backend_, of_joint_graph(teacher_.weights),
                                             options);
    for (size_t i = 0; i < values_.size(); ++i) bound_->output(values_[i].name, buffers_[i].data());
  }
  bind_inputs(*bound_);
  bound_->run();
  ++teacher_.shared->computed;
}

/// What others will read is what this run goes by as well: who made a value changes no result.
void TeacherStep::round_to_f16() {
  for (size_t i = 0; i < values_.size(); ++i)
    for (float& value : buffers_[i]) {
      const float rounded = f16_to_f32(f32_to_f16(value));
      if (std::isinf(rounded) && std::isfinite(value))
        throw Error(fmt::format("{} has {}, which f16 cannot hold; keep the teacher's values as f32", values_[i].name, value));
      value = rounded;
    }
}

}  // namespace espalier::train
