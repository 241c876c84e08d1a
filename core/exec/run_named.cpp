#include "core/base/error.h"
#include "core/exec/executor.h"

namespace espalier::exec {
namespace {

std::string output_name(const Graph& graph, size_t i) {
  const std::string& name = graph.outputs()[i].name;
  return name.empty() ? graph.info(graph.outputs()[i].value).name : name;
}

}  // namespace

FloatTensors run_named(Executor& executor, const FloatTensors& inputs) {
  const Graph& graph = *executor.list().graph;
  ErrorList errors;
  std::vector<const void*> in;
  for (Value value : executor.list().inputs) {
    const std::string& name = graph.def(value).label;
    const TensorType& type = graph.type(value);
    const auto found = inputs.find(name);
    if (type.dtype != DType::kF32)
      errors.add("[inputs] '" + name + "' is " + to_string(type) + ", only f32 inputs can be given");
    else if (found == inputs.end())
      errors.add("[inputs] '" + name + "' is missing, want " + to_string(type));
    else if (found->second.shape != type.shape)
      errors.add("[inputs] '" + name + "' has shape " + to_string(found->second.shape) + ", want " + to_string(type.shape));
    else
      in.push_back(found->second.values.data());
  }
  errors.throw_if_any();

  FloatTensors results;
  std::vector<void*> out;
  for (size_t i = 0; i < executor.list().outputs.size(); ++i) {
    const TensorType& type = graph.type(executor.list().outputs[i]);
    ESP_CHECK(type.dtype == DType::kF32);
    FloatTensor& tensor = results[output_name(graph, i)];
    tensor = {type.shape, std::vector<float>(static_cast<size_t>(type.shape.elements()))};
  }
  for (size_t i = 0; i < executor.list().outputs.size(); ++i) out.push_back(results[output_name(graph, i)].values.data());
  executor.run(in, out);
  return results;
}

}  // namespace espalier::exec
