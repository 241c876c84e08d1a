#include "core/ir/append.h"

#include "core/base/error.h"

namespace espalier {

std::vector<Value> append_graph(Graph& to, const Graph& from, const LeafValue& leaf, const std::function<void(Node&)>& alter) {
  std::vector<Value> map(from.values().size());
  const auto mapped = [&](Value v) { return v.present() ? map[v.id] : v; };
  for (const Node& node : from.nodes()) {
    if (node.kind == NodeKind::kInput || node.kind == NodeKind::kParam) {
      const Value v = node.results.front();
      map[v.id] = leaf(node, from.type(v));
      ESP_CHECK(to.type(map[v.id]) == from.type(v));
      continue;
    }
    Node copy = node;
    for (Value& v : copy.inputs) v = mapped(v);
    copy.grad_of = mapped(node.grad_of);
    alter(copy);
    std::vector<TensorType> types;
    std::vector<std::string> names;
    for (Value v : node.results) {
      types.push_back(from.type(v));
      names.push_back(from.info(v).name);
    }
    const size_t made = to.append(std::move(copy), std::move(types), std::move(names));
    for (size_t i = 0; i < node.results.size(); ++i) map[node.results[i].id] = to.node(made).results[i];
  }
  std::vector<Value> outputs;
  for (const Output& output : from.outputs()) outputs.push_back(mapped(output.value));
  return outputs;
}

}  // namespace espalier
