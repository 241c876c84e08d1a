// Random graphs on the cuda backend, whole: shapes and chains of ops that no sample has, beside the reference in double.

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <regex>

#include "core/autodiff/gradient.h"
#include "core/base/rng.h"
#include "core/inspect/session.h"
#include "core/ir/parse.h"
#include "core/ir/print.h"
#include "core/ops/activation.h"
#include "core/ops/elementwise_binary.h"
#include "core/ops/reduce.h"
#include "core/ops/registry.h"
#include "tests/support/one_op.h"
#include "tests/support/random_graph.h"

namespace espalier {
namespace {

constexpr uint64_t kGraphs = 120;
constexpr int kSteps = 40;

/// The same graph in f32, where the generator's are in f64, with a name for an only output.
Graph in_f32(const Graph& graph) {
  Graph made = parse(std::regex_replace(print(graph), std::regex("f64"), "f32"), ops::registry());
  std::vector<Output> outputs = made.outputs();
  for (Output& output : outputs)
    if (output.name.empty()) output.name = "sample";
  made.set_outputs(std::move(outputs));
  return made;
}

/// With the gradient of the mean of all outputs, bounded, by the picture, the tokens and every parameter.
void add_gradient(Graph& graph) {
  Builder b(graph);
  Value total = b.scalar(0);
  for (const Output& output : graph.outputs()) {
    std::vector<int64_t> axes(static_cast<size_t>(graph.type(output.value).shape.rank()));
    std::iota(axes.begin(), axes.end(), 0);
    const Value bounded = ops::tanh(b, output.value);
    total = ops::add(b, total, axes.empty() ? bounded : ops::reduce_mean(b, bounded, axes));
  }
  std::vector<Value> wrt{graph.find_input("image"), graph.find_input("tokens")};
  for (Value param : graph.params()) wrt.push_back(param);
  const std::vector<Value> gradient = autodiff::append_gradient(graph, total, wrt);
  for (size_t i = 0; i < wrt.size(); ++i)
    if (gradient[i].present()) graph.add_output("d." + graph.def(wrt[i]).label, gradient[i]);
}

std::vector<float> values_of(const std::string& name, const Shape& shape, uint64_t seed) {
  std::vector<float> values(static_cast<size_t>(shape.elements()));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = name == "timestep" ? static_cast<float>(rng::bits(seed, 5, i) % 1000)
                : name == "gates"  ? static_cast<float>(rng::bits(seed, 6, i) % 3) / 2
                                   : static_cast<float>(rng::normal(seed, rng::stream_of(name), i));
  return values;
}

TEST(CudaRandom, graphs_of_many_ops_run_whole_on_the_device_and_equal_the_reference) {
  const auto backend = testing::open_backend("cuda", {}, testing::kCudaDouble);
  double worst = 0;
  std::map<std::string, int> ops;
  for (uint64_t seed = 1; seed <= kGraphs; ++seed) {
    Graph graph = in_f32(testing::random_graph(seed, kSteps));
    if (seed % 2 == 0) add_gradient(graph);
    exec::FloatTensors inputs;
    for (Value v : graph.inputs()) {
      const std::string& name = graph.def(v).label;
      inputs[name] = {graph.type(v).shape, values_of(name, graph.type(v).shape, seed)};
    }
    const auto weights = std::make_shared<testing::MemorySource>();
    for (Value v : graph.params()) {
      const std::vector<float> values = values_of(graph.def(v).label, graph.type(v).shape, seed);
      const auto bytes = std::as_bytes(std::span(values));
      weights->add(graph.def(v).label, graph.type(v), {bytes.begin(), bytes.end()});
    }
    inspect::SessionOptions options;
    options.backend = backend;
    options.strict = true;
    exec::Executor executor(inspect::compile(graph, options), backend, weights, {.progress = false});
    for (const lower::Call& call : executor.list().calls) ++ops[std::string(*executor.list().graph->node(call.node).op->name)];
    const exec::FloatTensors expected = exec::run_reference(graph, inputs, weights);
    for (int again = 0; again < 3; ++again) {  // step by step, and as a recording
      const exec::FloatTensors got = exec::run_named(executor, inputs);
      for (const auto& [name, tensor] : expected) {
        double scale = 1, difference = 0;
        const std::vector<float>& other = got.at(name).values;
        ASSERT_EQ(other.size(), tensor.values.size());
        for (size_t i = 0; i < other.size(); ++i) {
          scale = std::max(scale, std::abs(static_cast<double>(tensor.values[i])));
          const double apart = std::abs(static_cast<double>(tensor.values[i]) - other[i]);
          difference = std::isfinite(apart) ? std::max(difference, apart) : INFINITY;
        }
        worst = std::max(worst, difference / scale);
        ASSERT_LE(difference / scale, 2e-4) << "seed " << seed << ", output '" << name << "', run " << again << "\n"
                                            << print(graph);
      }
    }
  }
  std::printf("worst distance %.1e; %zu ops:", worst, ops.size());
  for (const auto& [op, count] : ops) std::printf(" %s %d", op.c_str(), count);
  std::printf("\n");
}

}  // namespace
}  // namespace espalier
