#include "core/passes/fold_constants.h"

#include "core/ir/rewrite.h"
#include "core/ops/interpret.h"

namespace espalier::passes {
namespace {

constexpr int64_t kMaxElements = 4096;

/// Operands of `node` as the reference functions want them; empty when one is not a constant.
std::vector<RefTensor> constant_operands(const Node& node, const OpCall& call, const Rewriter& rewrite) {
  std::vector<RefTensor> operands(call.inputs.size());
  for (size_t i = 0; i < operands.size(); ++i) {
    operands[i].type = call.inputs[i];
    if (i >= node.inputs.size() || !node.inputs[i].present()) continue;
    const Node& def = rewrite.def(node.inputs[i]);
    if (def.kind != NodeKind::kConstant) return {};
    operands[i].data = *def.data;
  }
  return operands;
}

}  // namespace

Graph fold_constants(const Graph& graph, const Context&) {
  Rewriter rewrite(graph);
  for (const Node& node : graph.nodes()) {
    const bool small = node.kind == NodeKind::kOp && node.results.size() == 1 && !node.inputs.empty() &&
                       graph.type(node.results[0]).shape.elements() <= kMaxElements;
    const OpCall call = small ? graph.call(node) : OpCall{};
    const std::vector<RefTensor> operands = small ? constant_operands(node, call, rewrite) : std::vector<RefTensor>{};
    if (operands.empty()) {
      rewrite.keep(node);
      continue;
    }
    rewrite.at(node);
    rewrite.replace(node, rewrite.builder().constant(call.results[0], ops::evaluate(call, operands).front()));
  }
  return rewrite.finish();
}

}  // namespace espalier::passes
