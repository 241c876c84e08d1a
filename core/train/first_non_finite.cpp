#include "core/train/first_non_finite.h"

#include <algorithm>
#include <cmath>

#include "core/inspect/session.h"

namespace espalier::train {
namespace {

bool all_finite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

/// The noisy batch, as the joint graph mixes it.
exec::FloatTensors unet_inputs(const data::Batch& batch, const std::vector<float>& alpha_bars) {
  exec::FloatTensors inputs = batch.tensors;
  exec::FloatTensor sample = inputs.at("latents");
  const std::vector<float>& noise = inputs.at("noise").values;
  const int64_t each = sample.shape.elements() / sample.shape[0];
  for (size_t i = 0; i < sample.values.size(); ++i) {
    const float t = inputs.at("timestep").values[i / static_cast<size_t>(each)], signal = alpha_bars.at(static_cast<size_t>(t));
    sample.values[i] = std::sqrt(signal) * sample.values[i] + std::sqrt(1 - signal) * noise[i];
  }
  inputs["sample"] = std::move(sample);
  return inputs;
}

/// The first block, in execution order, whose value is not finite; "" when all are.
std::string first_block(const model::BlockTree& tree, const io::TensorSourcePtr& weights, const data::Batch& batch,
                        const exec::FloatTensors& inputs, const std::shared_ptr<lower::Backend>& backend) {
  const Shape& latents = batch.tensors.at("latents").shape;
  model::GraphOptions options{.batch = latents[0], .height = latents[1], .width = latents[2]};
  options.tokens = batch.tensors.at("encoder_hidden_states").shape[1];
  options.taps = {"*"};
  inspect::SessionOptions session;
  session.backend = backend;
  exec::Executor executor(inspect::compile(tree, options, session), backend, weights);
  const exec::FloatTensors values = exec::run_named(executor, inputs);
  for (const Output& output : executor.list().graph->outputs())
    if (output.name != "sample" && !all_finite(values.at(output.name).values)) return output.name;
  return all_finite(values.at("sample").values) ? "" : "conv_out";
}

}  // namespace

std::string first_non_finite(const model::BlockTree* teacher_tree, const Teacher& teacher, const Student& student,
                             const data::Batch& batch, const std::vector<float>& alpha_bars,
                             const std::shared_ptr<lower::Backend>& backend) {
  for (const auto& [name, tensor] : batch.tensors)
    if (!all_finite(tensor.values)) return "'" + name + "' of the batch";
  for (const TrainedTensor& tensor : student.tensors())
    if (!all_finite(tensor.weight.floats())) return "the student's weight " + tensor.name;
  const exec::FloatTensors inputs = unet_inputs(batch, alpha_bars);
  if (teacher_tree != nullptr)
    if (const std::string path = first_block(*teacher_tree, teacher.weights, batch, inputs, backend); !path.empty())
      return path + " of the teacher";
  if (const std::string path = first_block(student.structure().tree, student.weights(), batch, inputs, backend); !path.empty())
    return path + " of the student";
  // Backward runs from the output to the input: the last tensor is the first to get its gradient.
  for (size_t i = student.tensors().size(); i-- > 0;)
    if (!all_finite(student.tensors()[i].gradient.floats())) return "the gradient of " + student.tensors()[i].name;
  return "a loss: both models' values are finite";
}

}  // namespace espalier::train
