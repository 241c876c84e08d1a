#include "core/passes/expand.h"

#include "core/ir/rewrite.h"

namespace espalier::passes {
namespace {

/// One level: decompositions may hold composites again.
Graph expand_once(const Graph& graph, const Context& context, bool* changed) {
  Rewriter rewrite(graph);
  for (const Node& node : graph.nodes()) {
    const DecomposeFn* decompose = node.kind == NodeKind::kOp ? std::get_if<DecomposeFn>(&*node.op->decompose) : nullptr;
    const OpCall call = decompose != nullptr ? graph.call(node) : OpCall{};
    if (decompose == nullptr || context.accepts(call, params_among(graph, node.inputs, call.inputs.size()))) {
      rewrite.keep(node);
      continue;
    }
    rewrite.at(node);
    std::vector<Value> inputs = rewrite[node.inputs];
    inputs.resize(call.inputs.size());  // absent optional operands have a place too
    rewrite.replace(node, (*decompose)(rewrite.builder(), call, inputs));
  }
  *changed = rewrite.changed();
  return rewrite.finish();
}

}  // namespace

Graph expand(const Graph& graph, const Context& context) {
  bool changed = true;
  Graph out = expand_once(graph, context, &changed);
  while (changed) out = expand_once(out, context, &changed);
  return out;
}

}  // namespace espalier::passes
