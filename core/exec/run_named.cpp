#include "core/base/error.h"
#include "core/exec/executor.h"
#include "core/exec/reference_call.h"
#include "core/ops/interpret.h"

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

FloatTensors run_reference(const Graph& graph, const FloatTensors& inputs, const io::TensorSourcePtr& weights) {
  const auto source = [&](const Node& node) {
    const TensorType& type = graph.type(node.results[0]);
    if (node.kind == NodeKind::kParam) {
      ESP_CHECK(weights != nullptr);
      const io::TensorRef tensor = weights->get(node.label);
      return widen(tensor.type.dtype, tensor.bytes.data(), static_cast<size_t>(type.shape.elements()));
    }
    const auto found = inputs.find(node.label);
    if (found == inputs.end()) throw UserError("[inputs] '" + node.label + "' is missing, want " + to_string(type));
    return std::vector<double>(found->second.values.begin(), found->second.values.end());
  };
  const std::vector<std::vector<double>> values = ops::interpret(graph, source, false);
  FloatTensors results;
  for (size_t i = 0; i < values.size(); ++i)
    results[output_name(graph, i)] = {graph.type(graph.outputs()[i].value).shape, {values[i].begin(), values[i].end()}};
  return results;
}

}  // namespace espalier::exec
