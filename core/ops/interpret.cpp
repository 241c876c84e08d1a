#include "core/ops/interpret.h"

#include "core/base/error.h"
#include "core/ops/registry.h"
#include "core/ops/rounding.h"

namespace espalier::ops {
namespace {

class Interpreter {
 public:
  Interpreter(const Graph& graph, const InterpretSource& source, bool round)
      : graph_(graph), source_(source), round_(round), uses_(graph.use_counts()), held_(graph.values().size()) {}

  std::vector<std::vector<double>> run() {
    const std::vector<bool> needed = needed_nodes();
    for (size_t i = 0; i < graph_.nodes().size(); ++i)
      if (needed[i]) step(graph_.node(i));
    std::vector<std::vector<double>> outputs;
    for (const Output& output : graph_.outputs()) {
      const std::span<const double> data = read(output.value);
      outputs.emplace_back(data.begin(), data.end());
      release(output.value);
    }
    return outputs;
  }

 private:
  // Operations whose results nobody reads are left out, and give their operands' uses back.
  std::vector<bool> needed_nodes() {
    std::vector<bool> needed(graph_.nodes().size(), false);
    for (size_t i = needed.size(); i-- > 0;) {
      const Node& node = graph_.node(i);
      if (node.kind != NodeKind::kOp) continue;
      for (Value v : node.results) needed[i] = needed[i] || uses_[v.id] > 0;
      if (needed[i]) continue;
      for (Value v : node.inputs)
        if (v.present()) --uses_[v.id];
    }
    return needed;
  }

  // Inputs, parameters and constants become values at their first reader, so that a parameter lives no longer than needed.
  std::span<const double> read(Value v) {
    const Node& node = graph_.def(v);
    if (node.kind == NodeKind::kConstant) return *node.data;
    std::vector<double>& data = held_[v.id];
    if (data.empty() && node.kind != NodeKind::kOp) {
      data = source_(node);
      if (static_cast<int64_t>(data.size()) != graph_.type(v).shape.elements())
        internal_error("source of '" + node.label + "' has " + std::to_string(data.size()) + " elements, its type is " +
                       to_string(graph_.type(v)));
    }
    return data;
  }

  void release(Value v) {
    if (--uses_[v.id] == 0) std::vector<double>().swap(held_[v.id]);
  }

  void step(const Node& node) {
    if (node.is(reshape_def) && graph_.def(node.inputs[0]).kind == NodeKind::kOp && uses_[node.inputs[0].id] == 1) {
      held_[node.results[0].id] = std::move(held_[node.inputs[0].id]);
      release(node.inputs[0]);
      return;
    }
    const OpCall call = graph_.call(node);
    std::vector<RefTensor> in(call.inputs.size());
    for (size_t i = 0; i < in.size(); ++i) {
      in[i].type = call.inputs[i];
      if (i < node.inputs.size() && node.inputs[i].present()) in[i].data = read(node.inputs[i]);
    }
    std::vector<std::vector<double>> results = evaluate(call, in);
    for (Value v : node.inputs)
      if (v.present()) release(v);
    for (size_t r = 0; r < results.size(); ++r) {
      const Value v = node.results[r];
      if (uses_[v.id] == 0) continue;
      if (round_)
        for (double& each : results[r]) each = round_to(graph_.type(v).dtype, each);
      held_[v.id] = std::move(results[r]);
    }
  }

  const Graph& graph_;
  const InterpretSource& source_;
  const bool round_;
  std::vector<uint32_t> uses_;  // readers still to come
  std::vector<std::vector<double>> held_;
};

}  // namespace

std::vector<std::vector<double>> evaluate(const OpCall& call, std::span<const RefTensor> in) {
  std::vector<std::vector<double>> values;
  std::vector<RefResult> out;
  for (const TensorType& type : call.results) values.emplace_back(static_cast<size_t>(type.shape.elements()));
  for (size_t r = 0; r < values.size(); ++r) out.push_back({call.results[r], values[r], {}});
  (*call.op->reference)(call, in, out);
  return values;
}

std::vector<std::vector<double>> interpret(const Graph& graph, const InterpretSource& source, bool round_to_dtype) {
  return Interpreter(graph, source, round_to_dtype).run();
}

}  // namespace espalier::ops
