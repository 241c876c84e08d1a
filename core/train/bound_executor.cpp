#include "core/train/bound_executor.h"

#include "core/base/error.h"
#include "core/distill/joint_graph.h"
#include "core/io/memory_source.h"

namespace espalier::train {

BoundExecutor::BoundExecutor(lower::CallList list, const std::shared_ptr<lower::Backend>& backend,
                             const io::TensorSourcePtr& weights, const exec::ExecOptions& options)
    : executor_(std::make_unique<exec::Executor>(std::move(list), backend, weights, options)) {
  const lower::CallList& made = executor_->list();
  for (size_t i = 0; i < made.inputs.size(); ++i) input_index_.emplace(made.graph->def(made.inputs[i]).label, i);
  for (size_t i = 0; i < made.outputs.size(); ++i) output_index_.emplace(made.graph->outputs()[i].name, i);
  inputs_.assign(made.inputs.size(), nullptr);
  outputs_.assign(made.outputs.size(), nullptr);
}

void BoundExecutor::input(const std::string& name, const void* data, bool optional) {
  const auto at = input_index_.find(name);
  if (at != input_index_.end())
    inputs_[at->second] = data;
  else if (!optional)
    internal_error("the graph has no input '" + name + "'");
}

void BoundExecutor::output(const std::string& name, void* data) {
  const auto at = output_index_.find(name);
  if (at == output_index_.end()) internal_error("the graph has no output '" + name + "'");
  outputs_[at->second] = data;
}

void BoundExecutor::run() {
  for (const auto& [name, at] : input_index_)
    if (inputs_[at] == nullptr) internal_error("nothing is bound to input '" + name + "'");
  for (const auto& [name, at] : output_index_)
    if (outputs_[at] == nullptr) internal_error("nothing is bound to output '" + name + "'");
  executor_->run(inputs_, outputs_);
}

io::TensorSourcePtr of_joint_graph(const io::TensorSourcePtr& teacher) {
  if (teacher == nullptr) return nullptr;
  std::vector<std::pair<std::string, std::string>> renames;
  for (const std::string& name : teacher->names()) renames.emplace_back(distill::kTeacherPrefix + name, name);
  return std::make_shared<io::RenamedTensorSource>(teacher, std::move(renames));
}

}  // namespace espalier::train
