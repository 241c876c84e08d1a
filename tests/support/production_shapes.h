#pragma once
// Every distinct call of a full-size model against the op's reference on sampled outputs.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

#include "core/model/block_tree.h"
#include "core/model/unet_config.h"
#include "core/model/unet_graph.h"
#include "core/ops/registry.h"
#include "core/passes/pipeline.h"
#include "tests/support/one_op.h"

namespace espalier::testing {

/// One call of a model's optimised graph, and which of its operands are parameters.
struct ModelCall {
  OpCall call;
  std::vector<bool> params;
  std::string path;
};

inline std::string text_of(const OpCall& call) {
  std::string text(*call.op->name);
  for (const TensorType& type : call.inputs) text += type.present() ? ' ' + to_string(type) : " -";
  return text + " -> " + to_string(call.results[0]);
}

inline std::string text_of(const AttrValue& value) {
  return std::visit(
      [](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_arithmetic_v<T>)
          return std::to_string(v);
        else if constexpr (std::is_same_v<T, std::string>)
          return v;
        else {
          std::string text;
          for (const auto& element : v) text += std::to_string(element) + ',';
          return text;
        }
      },
      value);
}

/// The distinct calls (op, types, attributes) of a config's graph at a square latent, after the passes that `backend` gets.
inline std::vector<ModelCall> distinct_calls(const std::string& config, int64_t latent, lower::Backend& backend) {
  const model::BlockTree tree =
      model::build_tree(model::read_config(std::string(ESPALIER_SOURCE_DIR) + "/tests/configs/" + config));
  const Graph built = model::build_graph(tree, {.batch = 1, .height = latent, .width = latent});
  passes::PipelineOptions options;
  options.context.accepts = [&](const OpCall& call, const std::vector<bool>& is_param) {
    return backend.support(call, "", is_param).accepted;
  };
  const Graph graph = passes::optimise(built, options);
  std::vector<ModelCall> calls;
  std::set<std::string> seen;
  for (const Node& node : graph.nodes()) {
    if (node.kind != NodeKind::kOp || node.is(ops::reshape_def)) continue;
    ModelCall c{graph.call(node), {}, node.path};
    c.params.resize(c.call.inputs.size());
    for (size_t i = 0; i < node.inputs.size(); ++i)
      c.params[i] = node.inputs[i].present() && graph.def(node.inputs[i]).kind == NodeKind::kParam;
    std::string key = text_of(c.call);
    for (const auto& [name, value] : c.call.attrs.entries()) key += ' ' + name + text_of(value);
    if (seen.insert(key).second) calls.push_back(std::move(c));
  }
  return calls;
}

/// Runs `c` and expects 256 outputs, at fixed random places, to equal the reference.
inline void expect_equals_reference(const std::shared_ptr<lower::Backend>& backend, const ModelCall& c) {
  uint64_t state = 0x9e3779b97f4a7c15u;
  const auto next = [&] {  // splitmix64; data need only be well spread
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  };
  std::vector<std::vector<double>> data;
  std::vector<RefTensor> in;
  for (const TensorType& type : c.call.inputs) {
    data.emplace_back(type.present() ? static_cast<size_t>(type.shape.elements()) : 0);
    for (double& value : data.back()) value = static_cast<float>((static_cast<double>(next() >> 11) * 0x1p-53 - 0.5) * 3.4641);
  }
  for (size_t i = 0; i < data.size(); ++i) in.push_back({c.call.inputs[i], data[i]});

  const OneOpRun run = run_one_op(backend, c.call, data, {c.params});
  ASSERT_TRUE(run.call.on_backend) << text_of(c.call) << " at " << c.path;
  const std::vector<double> got = to_doubles(c.call.results[0].dtype, run.outputs[0]);

  std::set<int64_t> places{0, static_cast<int64_t>(got.size()) - 1};  // both ends, and places anywhere
  while (places.size() < std::min<size_t>(256, got.size())) places.insert(static_cast<int64_t>(next() % got.size()));
  const std::vector<int64_t> only(places.begin(), places.end());
  std::vector<double> want(only.size());
  RefResult result{c.call.results[0], want, only};
  (*c.call.op->reference)(c.call, in, std::span(&result, 1));

  double largest = 0, worst = 0;
  for (size_t k = 0; k < only.size(); ++k) {
    largest = std::max(largest, std::abs(want[k]));
    const double away = std::abs(got[static_cast<size_t>(only[k])] - want[k]);
    worst = std::max(worst, std::isnan(away) ? INFINITY : away);
  }
  std::printf("%-9s %8.1e  %s\n", run.call.kernel.c_str(), worst / std::max(largest, 1e-30), text_of(c.call).c_str());
  EXPECT_LE(worst, 1e-5 * largest + 1e-6) << text_of(c.call) << " on " << run.call.kernel << " at " << c.path;
}

}  // namespace espalier::testing
