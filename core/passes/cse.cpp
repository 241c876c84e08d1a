#include "core/passes/cse.h"

#include <algorithm>
#include <map>
#include <string>

#include "core/ir/print.h"
#include "core/ir/rewrite.h"
#include "core/ops/registry.h"

namespace espalier::passes {
namespace {

bool commutes(const OpDef* op) { return op == &ops::add_def || op == &ops::mul_def || op == &ops::maximum_def; }

/// Two nodes with one key make the same values.
std::string key_of(const Graph& graph, const Node& node, const std::vector<Value>& inputs) {
  std::vector<uint32_t> operands;
  for (Value v : inputs) operands.push_back(v.id);
  while (!operands.empty() && operands.back() == Value::kNone) operands.pop_back();
  if (commutes(node.op)) std::sort(operands.begin(), operands.end());
  std::string key = node.kind == NodeKind::kOp ? std::string(*node.op->name) : "constant";
  for (uint32_t operand : operands) key += " " + std::to_string(operand);
  if (node.kind == NodeKind::kOp) key += print_attrs(*node.op, node.attrs);
  if (node.data)
    for (double v : *node.data) key += " " + print_number(v);
  for (Value v : node.results) key += " : " + to_string(graph.type(v));
  return node.frozen ? key + " !frozen" : key;
}

}  // namespace

Graph cse(const Graph& graph, const Context&) {
  Rewriter rewrite(graph);
  std::map<std::string, Value> first;  // the new value of each key
  for (const Node& node : graph.nodes()) {
    const bool mergeable = (node.kind == NodeKind::kOp || node.kind == NodeKind::kConstant) && node.results.size() == 1 &&
                           (node.op == nullptr || node.op->aliases.empty());
    if (!mergeable || node.recompute) {
      rewrite.keep(node);
      continue;
    }
    const std::string key = key_of(graph, node, rewrite[node.inputs]);
    if (auto at = first.find(key); at != first.end()) {
      rewrite.replace(node, at->second);
      continue;
    }
    rewrite.keep(node);
    first.emplace(key, rewrite[node.results[0]]);
  }
  return rewrite.finish();
}

}  // namespace espalier::passes
