#include "core/passes/sink_casts.h"

#include <algorithm>
#include <vector>

#include "core/ir/rewrite.h"
#include "core/ops/registry.h"

namespace espalier::passes {
namespace {

/// What has more readers than forward, repeated forward and backward of one op is shared by many, as the text's embedding is by
/// every block, and one cast serves them all.
constexpr uint32_t kMostRepeated = 8;

bool is_leaf(const Node& node) { return node.kind == NodeKind::kInput || node.kind == NodeKind::kParam; }

}  // namespace

Graph sink_casts(const Graph& graph, const Context&) {
  Rewriter rewrite(graph);
  const auto is_cast = [](const Node& node) { return node.kind == NodeKind::kOp && node.is(ops::cast_def); };
  const std::vector<uint32_t> uses = graph.use_counts();
  std::vector<bool> placed(graph.values().size(), false);
  // Casts of casts are placed before the cast that reads them.
  const auto place = [&](const auto& self, Value v, const Node& reader) -> void {
    const Node& cast = graph.def(v);
    if (!is_cast(cast)) return;
    self(self, cast.inputs[0], reader);
    if (placed[v.id] && is_leaf(graph.def(cast.inputs[0])) && uses[v.id] <= kMostRepeated) {
      rewrite.at(reader);
      rewrite.replace(cast, rewrite.builder().op(ops::cast_def, rewrite[cast.inputs], cast.attrs));
    } else if (!placed[v.id]) {
      rewrite.keep(cast);
    }
    placed[v.id] = true;
  };
  for (const Node& node : graph.nodes()) {
    if (is_cast(node)) continue;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const Value v = node.inputs[i];
      if (v.present() && std::find(node.inputs.begin(), node.inputs.begin() + static_cast<std::ptrdiff_t>(i), v) ==
                             node.inputs.begin() + static_cast<std::ptrdiff_t>(i))
        place(place, v, node);
    }
    rewrite.keep(node);
  }
  for (const Node& node : graph.nodes())  // those that only outputs read, or nothing
    if (is_cast(node) && !placed[node.results[0].id]) place(place, node.results[0], node);
  return rewrite.finish();
}

}  // namespace espalier::passes
