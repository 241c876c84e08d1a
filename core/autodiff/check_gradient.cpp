#include "core/autodiff/check_gradient.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/autodiff/gradient.h"
#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/ir/rewrite.h"
#include "core/ir/walk.h"
#include "core/ops/cast.h"
#include "core/ops/elementwise_binary.h"
#include "core/ops/reduce.h"

namespace espalier::autodiff {
namespace {

constexpr const char* kCotangent = "cotangent.";
constexpr const char* kHeld = "held.";

bool is_barrier(const Node& node) {
  return node.kind == NodeKind::kOp && (node.frozen || std::holds_alternative<StopsGradient>(*node.op->vjp));
}

/// For every value: why it has no gradient in some output, by the first op that refuses one; empty when it has.
std::vector<std::string> refusals(const Graph& graph) {
  std::vector<std::string> reasons(graph.values().size());
  for (size_t i = graph.nodes().size(); i-- > 0;) {
    const Node& node = graph.node(i);
    if (node.kind != NodeKind::kOp || is_barrier(node)) continue;
    std::string reason;
    if (const auto* none = std::get_if<NonDifferentiable>(&*node.op->vjp))
      reason = "[" + std::string(*node.op->name) + "] has no gradient: " + std::string(none->reason);
    for (Value v : node.results)
      if (reason.empty()) reason = reasons[v.id];
    for (Value v : node.inputs)
      if (v.present() && !reason.empty()) reasons[v.id] = reason;
  }
  return reasons;
}

Value loss_of(Builder& b, const std::vector<Output>& outputs) {
  Value loss;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const TensorType type = b.type(outputs[i].value);
    if (!is_floating(type.dtype)) continue;
    Value term = outputs[i].value;
    if (type.shape.rank() > 0) term = ops::reduce_sum(b, ops::mul(b, term, b.input(kCotangent + std::to_string(i), type)), {});
    if (type.dtype != DType::kF64) term = ops::cast(b, term, DType::kF64);
    loss = loss.present() ? ops::add(b, loss, term) : term;
  }
  if (!loss.present()) throw VerifyError("[gradient] @" + b.graph().name + " has no floating-point output");
  return loss;
}

double dot(const std::vector<double>& a, const std::vector<double>& c) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * c[i];
  return sum;
}

/// The loss alone, as its gradient sees it: what no cotangent passes is an input that keeps the value it has at the start.
class HeldLoss {
 public:
  HeldLoss(const Graph& graph, const ops::InterpretSource& source) : source_(source) {
    Graph lone = graph;
    lone.set_outputs({graph.outputs().front()});
    lone = filtered(lone, needed_nodes(lone));
    std::vector<Output> outputs;
    Rewriter rewrite(lone);
    const std::vector<std::vector<uint32_t>> readers = users(lone);
    for (const Node& node : lone.nodes()) {
      if (!is_barrier(node)) {
        rewrite.keep(node);
        continue;
      }
      const Value v = node.results.front();
      const bool read = v == lone.outputs().front().value || std::any_of(readers[v.id].begin(), readers[v.id].end(),
                                                                         [&](uint32_t i) { return !is_barrier(lone.node(i)); });
      if (!read) continue;  // by other barriers alone, which are inputs now
      outputs.push_back({kHeld + std::to_string(outputs.size()), v});
      rewrite.at(node);
      rewrite.replace(node, rewrite.builder().input(outputs.back().name, lone.type(v)));
    }
    loss_ = rewrite.finish();
    lone.set_outputs(outputs);
    held_ = ops::interpret(lone, source, false);
  }

  /// Its slope along `direction` of the input or parameter like `moved`, at `at`.
  double slope(const Node& moved, const std::vector<double>& at, const std::vector<double>& direction, double step) const {
    const auto loss = [&](double h) {
      const auto source = [&](const Node& node) {
        if (node.kind == NodeKind::kInput && node.label.starts_with(kHeld))
          return held_[static_cast<size_t>(std::stoul(node.label.substr(std::strlen(kHeld))))];
        if (node.kind != moved.kind || node.label != moved.label) return source_(node);
        std::vector<double> x = at;
        for (size_t i = 0; i < x.size(); ++i) x[i] += h * direction[i];
        return x;
      };
      return ops::interpret(loss_, source, false)[0][0];
    };
    const double coarse = (loss(step) - loss(-step)) / (2 * step), fine = (loss(step / 2) - loss(-step / 2)) / step;
    return (4 * fine - coarse) / 3;
  }

 private:
  const ops::InterpretSource& source_;
  std::vector<std::vector<double>> held_;
  Graph loss_;
};

bool all_finite(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

}  // namespace

GradientGraph with_gradients(const Graph& graph) {
  GradientGraph made{.graph = graph};
  const std::vector<std::string> reasons = refusals(graph);
  for (const Node& node : graph.nodes()) {
    if (node.kind != NodeKind::kInput && (node.kind != NodeKind::kParam || node.frozen)) continue;
    const Value v = node.results.front();
    if (!is_floating(graph.type(v).dtype)) continue;
    if (reasons[v.id].empty())
      made.wrt.push_back(v);
    else
      made.not_differentiable.push_back(node.label + ": " + reasons[v.id]);
  }
  Builder b(made.graph);
  const Value loss = loss_of(b, graph.outputs());
  const std::vector<Value> gradients = append_gradient(made.graph, loss, made.wrt);
  made.graph.set_outputs({{"loss", loss}});
  for (size_t i = 0; i < gradients.size(); ++i)
    if (gradients[i].present()) made.graph.add_output("d." + made.graph.def(made.wrt[i]).label, gradients[i]);
  return made;
}

std::vector<GradientRow> check_gradient(const GradientGraph& made, const ops::InterpretSource& source,
                                        const GradientCheckOptions& options) {
  const ops::InterpretSource full = [&](const Node& node) {
    if (!node.label.starts_with(kCotangent)) return source(node);
    std::vector<double> r(static_cast<size_t>(made.graph.type(made.graph.find_input(node.label)).shape.elements()));
    for (size_t i = 0; i < r.size(); ++i) r[i] = rng::normal(options.seed, rng::stream_of(node.label), i);
    return r;
  };
  const std::vector<std::vector<double>> results = ops::interpret(made.graph, full, false);
  const HeldLoss loss(made.graph, full);
  std::vector<GradientRow> rows;
  size_t output = 1;
  for (Value v : made.wrt) {
    const Node& node = made.graph.def(v);
    const std::vector<double> at = source(node);
    GradientRow row{.name = node.label, .path = node.path, .type = made.graph.type(v)};
    row.absent = output >= results.size() || made.graph.outputs()[output].name != "d." + node.label;
    const std::vector<double> gradient = row.absent ? std::vector<double>(at.size(), 0.0) : results[output++];
    for (double g : gradient) row.largest_gradient = std::max(row.largest_gradient, std::fabs(g));
    row.finite = all_finite(results[0]) && all_finite(gradient);
    const bool each = static_cast<int64_t>(at.size()) <= options.each_up_to;
    const size_t trials = !row.finite ? 0 : each ? at.size() : static_cast<size_t>(options.directions);
    for (size_t trial = 0; trial < trials; ++trial) {
      std::vector<double> direction(at.size(), 0.0);
      if (each)
        direction[trial] = 1;
      else
        for (size_t i = 0; i < at.size(); ++i)
          direction[i] = rng::normal(options.seed, rng::stream_of(node.label) + 1 + trial, i);
      const double away = std::fabs(dot(gradient, direction) - loss.slope(node, at, direction, options.step));
      const double scale = row.largest_gradient * std::sqrt(dot(direction, direction));
      if (std::isnan(away) || away > 1e-8) row.worst = std::max(row.worst, std::isnan(away) ? INFINITY : away / scale);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

ops::InterpretSource random_source(const Graph& graph, uint64_t seed, bool unit_inputs) {
  return [&graph, seed, unit_inputs](const Node& node) {
    const bool is_param = node.kind == NodeKind::kParam;
    const Shape& shape = graph.type(is_param ? graph.find_param(node.label) : graph.find_input(node.label)).shape;
    std::vector<double> values(static_cast<size_t>(shape.elements()));
    const uint64_t stream = rng::stream_of(node.label);
    const double fan_in = shape.rank() > 1 ? static_cast<double>(shape.elements()) / static_cast<double>(shape[0]) : 1;
    for (size_t i = 0; i < values.size(); ++i) {
      if (is_param && shape.rank() <= 1)
        values[i] = 0.5 + rng::uniform(seed, stream, i);
      else if (!is_param && unit_inputs)
        values[i] = rng::uniform(seed, stream, i);
      else
        values[i] = rng::normal(seed, stream, i) / (is_param ? std::sqrt(fan_in) : 1.0);
    }
    return values;
  };
}

}  // namespace espalier::autodiff
