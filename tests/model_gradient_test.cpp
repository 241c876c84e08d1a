// The gradient of a whole UNet: against finite differences, and on the cpu backend against the reference.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/autodiff/check_gradient.h"
#include "core/base/rng.h"
#include "core/exec/executor.h"
#include "core/io/memory_source.h"
#include "core/lower/lower.h"
#include "core/model/model.h"
#include "core/model/unet_graph.h"
#include "core/passes/pipeline.h"
#include "tests/support/one_op.h"

namespace espalier {
namespace {

/// A small UNet with its weights and inputs.
struct Small {
  model::Model model = model::load_model(std::string(ESPALIER_SOURCE_DIR) + "/tests/golden/tiny-sdxl/unet");
  // An odd size, so that the resizes are not by whole factors.
  Graph graph = model::build_graph(model.tree, {.batch = 2, .height = 10, .width = 6, .tokens = 5});
  autodiff::GradientGraph made = autodiff::with_gradients(graph);

  std::vector<float> values(const Node& node, const Shape& shape) const {
    if (node.kind == NodeKind::kParam) return io::read_f32(model.weights->get(node.label));
    std::vector<float> data(static_cast<size_t>(shape.elements()));
    for (size_t i = 0; i < data.size(); ++i)
      data[i] = node.label == "timestep" || node.label == "time_ids"
                    ? std::floor(1000 * static_cast<float>(rng::uniform(9, rng::stream_of(node.label), i)))
                    : static_cast<float>(rng::normal(9, rng::stream_of(node.label), i));
    return data;
  }
  ops::InterpretSource source() const {
    return [this](const Node& node) {
      const std::vector<float> data = values(node, made.graph.type(node.results[0]).shape);
      return std::vector<double>(data.begin(), data.end());
    };
  }
};

TEST(ModelGradient, reaches_every_parameter_and_leaves_out_timesteps_with_a_reason) {
  const Small small;
  ASSERT_EQ(small.made.not_differentiable.size(), 2u);
  EXPECT_TRUE(small.made.not_differentiable[0].starts_with("timestep: [timestep_embedding] has no gradient"));
  size_t gradients = 0;
  for (const Output& output : small.made.graph.outputs()) gradients += output.name.starts_with("d.");
  EXPECT_EQ(gradients, small.graph.params().size() + 3) << "and sample, encoder_hidden_states, text_embeds";
}

TEST(ModelGradient, equals_finite_differences_in_samples_of_its_parameters) {
  Small small;
  std::vector<Value> some;
  for (size_t i = 0; i < small.made.wrt.size(); i += 97) some.push_back(small.made.wrt[i]);
  std::vector<Output> outputs{small.made.graph.outputs().front()};
  for (Value v : some)
    for (const Output& output : small.made.graph.outputs())
      if (output.name == "d." + small.made.graph.def(v).label) outputs.push_back(output);
  small.made.graph.set_outputs(outputs);
  small.made.wrt = some;
  const auto rows = autodiff::check_gradient(small.made, small.source(), {.each_up_to = 2, .directions = 2});
  EXPECT_GE(rows.size(), 9u);
  for (const autodiff::GradientRow& row : rows) {
    EXPECT_FALSE(row.absent) << row.name;
    EXPECT_LE(row.worst, 1e-6) << row.name;
  }
}

TEST(ModelGradient, on_the_cpu_backend_equals_the_reference) {
  const Small small;
  const auto backend = testing::open_backend("cpu", {});
  passes::PipelineOptions pipeline{.verify = true};
  pipeline.context.accepts = [&](const OpCall& call, const std::vector<bool>& is_param) {
    return backend->support(call, "", is_param).accepted;
  };
  // The loss is summed in f64 by the reference; gradients do not read it.
  Graph graph = small.made.graph;
  std::vector<Output> outputs = graph.outputs();
  outputs.erase(outputs.begin());
  graph.set_outputs(outputs);
  const auto optimised = std::make_shared<Graph>(passes::optimise(graph, pipeline));
  exec::FloatTensors inputs;
  for (Value v : optimised->inputs()) {
    const Node& node = optimised->def(v);
    inputs[node.label] = {optimised->type(v).shape, small.values(node, optimised->type(v).shape)};
  }
  exec::Executor executor(lower::lower(optimised, {.backend = backend.get()}), backend, small.model.weights);
  for (const lower::Call& call : executor.list().calls)
    EXPECT_TRUE(call.on_backend || *optimised->node(call.node).op->name == "cast") << *optimised->node(call.node).op->name;
  const exec::FloatTensors got = exec::run_named(executor, inputs);

  const auto expected = ops::interpret(graph, small.source(), false);
  double worst_of_all = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const std::string& name = graph.outputs()[i].name;
    const std::vector<float>& values = got.at(name).values;
    ASSERT_EQ(values.size(), expected[i].size()) << name;
    double distance = 0, size = 0;
    for (size_t k = 0; k < values.size(); ++k) {
      distance += (values[k] - expected[i][k]) * (values[k] - expected[i][k]);
      size += expected[i][k] * expected[i][k];
    }
    // Norm-wise, in f32; a bias whose gradient a following norm cancels has nothing but rounding left.
    EXPECT_LE(std::sqrt(distance), 1e-4 * std::sqrt(size) + 1e-6) << name;
    worst_of_all = std::max(worst_of_all, std::sqrt(distance) / (std::sqrt(size) + 1e-2));
  }
  std::printf("worst norm-wise distance of %zu gradients: %.2g\n", expected.size(), worst_of_all);
}

}  // namespace
}  // namespace espalier
