#include "core/exec/gated_calls.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "core/ops/gate.h"
#include "core/ops/registry.h"

namespace espalier::exec {
namespace {

constexpr size_t kOutputOperand = 1, kGatesOperand = 2;  // y and gates of the op `gate`

using Gates = std::vector<InputGate>;

Gates with(const Gates& gates, const InputGate& one) {
  Gates out = gates;
  if (const auto at = std::lower_bound(out.begin(), out.end(), one); at == out.end() || !(*at == one)) out.insert(at, one);
  return out;
}

// What is over a value: what is over all of its readers. Nothing has been heard of a value that is not read yet.
void meet(std::optional<Gates>& over, const Gates& reader) {
  if (!over) {
    over = reader;
    return;
  }
  Gates both;
  std::set_intersection(over->begin(), over->end(), reader.begin(), reader.end(), std::back_inserter(both));
  over = std::move(both);
}

}  // namespace

std::vector<std::vector<InputGate>> gates_over(const lower::CallList& list) {
  const Graph& graph = *list.graph;
  std::vector<std::optional<InputGate>> gate_of(graph.nodes().size());  // by node
  for (const lower::Call& call : list.calls) {
    const Node& node = graph.node(call.node);
    if (!node.is(ops::gate_def) || call.inputs[kGatesOperand].space != lower::Space::kInput) continue;
    gate_of[call.node] = InputGate{call.inputs[kGatesOperand].at, static_cast<size_t>(node.attrs.i("index"))};
  }
  // Readers stand behind what they read, so one backward sweep meets every reader first.
  std::vector<std::optional<Gates>> over_value(graph.values().size());
  for (const Output& output : graph.outputs()) over_value[output.value.id] = Gates{};
  std::vector<Gates> over_node(graph.nodes().size());
  for (size_t i = graph.nodes().size(); i-- > 0;) {
    const Node& node = graph.node(i);
    std::optional<Gates> own;
    for (Value result : node.results)
      if (over_value[result.id]) meet(own, *over_value[result.id]);
    if (own) over_node[i] = std::move(*own);
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      if (!node.inputs[k].present()) continue;
      const bool gated = gate_of[i] && k == kOutputOperand;
      meet(over_value[node.inputs[k].id], gated ? with(over_node[i], *gate_of[i]) : over_node[i]);
    }
  }
  std::vector<Gates> over_call;
  over_call.reserve(list.calls.size());
  for (const lower::Call& call : list.calls) over_call.push_back(std::move(over_node[call.node]));
  return over_call;
}

}  // namespace espalier::exec
