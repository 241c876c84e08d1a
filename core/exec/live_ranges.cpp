#include "core/exec/live_ranges.h"

#include <algorithm>
#include <map>

#include "core/ops/registry.h"

namespace espalier::exec {

using lower::Call;
using lower::Place;
using lower::Space;

std::vector<ArenaRange> live_ranges(const lower::CallList& list, size_t at) {
  const Graph& graph = *list.graph;
  std::vector<bool> made_before(graph.values().size(), false);
  for (size_t i = 0; i < at; ++i)
    for (const Value v : graph.node(list.calls[i].node).results) made_before[v.id] = true;
  // A reshape is no call: its result is where its operand is.
  const auto base = [&](Value v) {
    for (const Node* node = &graph.def(v); !made_before[v.id] && node->kind == NodeKind::kOp && node->is(ops::reshape_def);
         node = &graph.def(v))
      v = node->inputs[0];
    return v;
  };
  std::map<uint64_t, uint64_t> ranges;  // offset → bytes
  const auto read = [&](Value v, const Place& place) {
    if (place.space != Space::kArena || !v.present() || !made_before[base(v).id]) return;
    uint64_t& bytes = ranges[place.at];
    bytes = std::max(bytes, graph.type(v).bytes());
  };
  for (size_t i = at; i < list.calls.size(); ++i) {
    const Call& call = list.calls[i];
    const Node& node = graph.node(call.node);
    for (size_t k = 0; k < node.inputs.size() && k < call.inputs.size(); ++k) read(node.inputs[k], call.inputs[k]);
  }
  for (const lower::OutputCopy& copy : list.copies) read(list.outputs[copy.output], copy.from);
  std::vector<ArenaRange> out;
  for (const auto& [offset, bytes] : ranges) out.push_back({offset, bytes});
  return out;
}

}  // namespace espalier::exec
