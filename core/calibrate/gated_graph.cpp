#include "core/calibrate/gated_graph.h"

#include <algorithm>

#include "core/autodiff/gradient.h"
#include "core/base/error.h"
#include "core/ir/rewrite.h"
#include "core/model/unet_graph.h"
#include "core/ops/elementwise_binary.h"
#include "core/ops/elementwise_unary.h"
#include "core/ops/gate.h"
#include "core/ops/movement.h"
#include "core/ops/reduce.h"
#include "core/ops/registry.h"

namespace espalier::calibrate {
namespace {

constexpr double kLeastNorm = 1e-20;  // of |x|²|y|²: a place of zeros has cosine 0

struct Gated {
  Graph graph;
  Value gates, sample, task, output;
};

Gated gated(const model::BlockTree& tree, const data::BatchShape& shape) {
  model::GraphOptions options{.batch = shape.batch, .height = shape.height, .width = shape.width, .tokens = shape.tokens};
  options.gates = true;
  Gated made{model::build_graph(tree, options), {}, {}, {}, {}};
  made.gates = made.graph.find_input("gates");
  ESP_CHECK(made.gates.present());
  for (const Output& output : made.graph.outputs())
    if (output.name == "sample") made.sample = output.value;
  Builder b(made.graph);
  const auto distance_to = [&](const char* name) {
    const Value difference = ops::sub(b, made.sample, b.input(name, b.type(made.sample)));
    return ops::reduce_mean(b, ops::mul(b, difference, difference), {});
  };
  made.task = distance_to("target");
  made.output = distance_to("reference");
  return made;
}

/// x·y summed over the last dimension.
Value dot(Builder& b, Value x, Value y) { return ops::reduce_sum(b, ops::mul(b, x, y), {-1}); }

}  // namespace

Graph score_graph(const model::BlockTree& tree, const data::BatchShape& shape) {
  Gated made = gated(tree, shape);
  made.graph.name = "calibration-scores";
  made.graph.set_outputs({{"sample", made.sample}, {"task", made.task}, {"output", made.output}});
  return std::move(made.graph);
}

Graph gradient_graph(const model::BlockTree& tree, const data::BatchShape& shape) {
  Gated made = gated(tree, shape);
  made.graph.name = "calibration-gradients";
  const Value wanted[] = {made.gates};
  const Value gradient = autodiff::append_gradient(made.graph, made.task, wanted)[0];
  ESP_CHECK(gradient.present());
  made.graph.set_outputs({{"gradients", gradient}});
  return std::move(made.graph);
}

Graph statistics_graph(const model::BlockTree& tree, const data::BatchShape& shape) {
  Gated made = gated(tree, shape);
  Graph& graph = made.graph;
  graph.name = "calibration-statistics";
  const size_t nodes = graph.nodes().size();
  Builder b(graph);
  std::vector<Value> rows(static_cast<size_t>(graph.type(made.gates).shape[0]));
  std::vector<std::pair<size_t, size_t>> made_for(nodes);  // by node: what was appended for it, [first, last)
  for (size_t i = 0; i < nodes; ++i) {
    if (graph.node(i).kind != NodeKind::kOp || !graph.node(i).is(ops::gate_def)) continue;
    const auto index = static_cast<size_t>(graph.node(i).attrs.i("index"));
    const Scope scope(b, graph.node(i).path);
    made_for[i].first = graph.nodes().size();
    const Value x = graph.node(i).inputs[0], y = graph.node(i).inputs[1];
    const Value xx = dot(b, x, x), norms = ops::maximum(b, ops::mul(b, xx, dot(b, y, y)), b.scalar(kLeastNorm));
    const Value cosine = ops::reduce_mean(b, ops::div(b, dot(b, x, y), ops::sqrt(b, norms)), {});
    const Value change = ops::sub(b, y, x), moved = ops::reduce_sum(b, ops::mul(b, change, change), {});
    std::vector<Value> row;
    for (const Value v : {cosine, moved, ops::reduce_sum(b, xx, {})}) row.push_back(ops::reshape(b, v, {1, 1}));
    rows[index] = ops::concat(b, row, 1);
    made_for[i].second = graph.nodes().size();
  }
  const size_t own = graph.nodes().size();
  for (const Value row : rows) ESP_CHECK(row.present());
  graph.set_outputs({{"statistics", ops::concat(b, rows, 0)}});
  std::vector<uint32_t> order;
  for (size_t i = 0; i < nodes; ++i) {
    order.push_back(static_cast<uint32_t>(i));
    for (size_t k = made_for[i].first; k < made_for[i].second; ++k) order.push_back(static_cast<uint32_t>(k));
  }
  for (size_t k = own; k < graph.nodes().size(); ++k) order.push_back(static_cast<uint32_t>(k));
  return reordered(graph, order);
}

}  // namespace espalier::calibrate
