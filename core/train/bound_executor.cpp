#include "core/train/bound_executor.h"

#include "core/base/error.h"
#include "core/distill/joint_graph.h"
#include "core/io/memory_source.h"

namespace espalier::train {

BoundExecutor::BoundExecutor(lower::CallList list, const std::shared_ptr<lower::Backend>& backend,
                             const io::TensorSourcePtr& weights, const exec::ExecOptions& options)
    : backend_(backend), executor_(std::make_unique<exec::Executor>(std::move(list), backend, weights, options)) {
  const lower::CallList& made = executor_->list();
  for (size_t i = 0; i < made.inputs.size(); ++i) input_index_.emplace(made.graph->def(made.inputs[i]).label, i);
  for (size_t i = 0; i < made.outputs.size(); ++i) output_index_.emplace(made.graph->outputs()[i].name, i);
  inputs_.resize(made.inputs.size());
  outputs_.resize(made.outputs.size());
}

void BoundExecutor::input(const std::string& name, const void* data, bool optional) {
  const auto at = input_index_.find(name);
  if (at != input_index_.end())
    inputs_[at->second] = {data, nullptr};
  else if (!optional)
    internal_error("the graph has no input '" + name + "'");
}

void BoundExecutor::input(const std::string& name, const Buffer& buffer, bool optional) {
  const auto at = input_index_.find(name);
  if (at != input_index_.end())
    inputs_[at->second] = {nullptr, &buffer};
  else if (!optional)
    internal_error("the graph has no input '" + name + "'");
}

void BoundExecutor::output(const std::string& name, void* data) {
  const auto at = output_index_.find(name);
  if (at == output_index_.end()) internal_error("the graph has no output '" + name + "'");
  outputs_[at->second] = {data, nullptr};
}

void BoundExecutor::output(const std::string& name, Buffer& buffer) {
  const auto at = output_index_.find(name);
  if (at == output_index_.end()) internal_error("the graph has no output '" + name + "'");
  outputs_[at->second] = {nullptr, &buffer};
}

void BoundExecutor::keep_buffers_on_device() {
  exec::OnDevice wanted;
  for (const Read& each : inputs_) wanted.inputs.push_back(each.buffer != nullptr);
  for (const Written& each : outputs_) wanted.outputs.push_back(each.buffer != nullptr);
  if (on_device_.inputs.empty() && on_device_.outputs.empty()) {
    on_device_ = wanted;
    executor_->keep_on_device(on_device_);
  }
  ESP_CHECK(wanted.inputs == on_device_.inputs && wanted.outputs == on_device_.outputs);
}

void BoundExecutor::run() {
  for (const auto& [name, at] : input_index_)
    if (inputs_[at].data == nullptr && inputs_[at].buffer == nullptr) internal_error("nothing is bound to input '" + name + "'");
  for (const auto& [name, at] : output_index_)
    if (outputs_[at].data == nullptr && outputs_[at].buffer == nullptr)
      internal_error("nothing is bound to output '" + name + "'");
  if (has_own_memory(backend_)) keep_buffers_on_device();
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  for (const Read& each : inputs_) inputs.push_back(each.buffer ? each.buffer->read_on(backend_) : each.data);
  for (const Written& each : outputs_) outputs.push_back(each.buffer ? each.buffer->write_on(backend_) : each.data);
  executor_->run(inputs, outputs);
}

io::TensorSourcePtr of_joint_graph(const io::TensorSourcePtr& teacher) {
  if (teacher == nullptr) return nullptr;
  std::vector<std::pair<std::string, std::string>> renames;
  for (const std::string& name : teacher->names()) renames.emplace_back(distill::kTeacherPrefix + name, name);
  return std::make_shared<io::RenamedTensorSource>(teacher, std::move(renames));
}

}  // namespace espalier::train
