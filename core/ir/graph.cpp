#include "core/ir/graph.h"

namespace espalier {

size_t Graph::append(Node node, std::vector<TensorType> types, std::vector<std::string> names) {
  const auto index = static_cast<uint32_t>(nodes_.size());
  node.results.clear();
  for (size_t i = 0; i < types.size(); ++i) {
    const Value value{static_cast<uint32_t>(values_.size())};
    std::string name = claim_name(i < names.size() && !names[i].empty() ? names[i] : "v" + std::to_string(value.id));
    values_.push_back({std::move(types[i]), std::move(name), index, static_cast<uint32_t>(i)});
    node.results.push_back(value);
  }
  nodes_.push_back(std::move(node));
  return index;
}

std::string Graph::claim_name(std::string_view wanted) {
  std::string stem(wanted);
  for (char& c : stem) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
    if (!plain) c = '_';
  }
  if (stem.empty()) stem = "v";
  std::string name = stem;
  for (int suffix = 1; !names_.insert(name).second; ++suffix) name = stem + "_" + std::to_string(suffix);
  return name;
}

void Graph::set_value_name(Value v, std::string_view name) {
  std::string& current = values_[v.id].name;
  if (current == name) return;
  names_.erase(current);
  current = claim_name(name);
}

OpCall Graph::call(const Node& node) const {
  OpCall call{node.op, {}, node.attrs, {}};
  call.inputs.reserve(node.inputs.size());
  for (Value v : node.inputs) call.inputs.push_back(v.present() ? type(v) : TensorType{});
  while (call.inputs.size() < (*node.op->inputs).size()) call.inputs.emplace_back();
  for (Value v : node.results) call.results.push_back(type(v));
  return call;
}

std::vector<uint32_t> Graph::use_counts() const {
  std::vector<uint32_t> uses(values_.size(), 0);
  for (const Node& node : nodes_)
    for (Value v : node.inputs)
      if (v.present()) ++uses[v.id];
  for (const Output& output : outputs_) ++uses[output.value.id];
  return uses;
}

std::vector<Value> Graph::of_kind(NodeKind kind) const {
  std::vector<Value> found;
  for (const Node& node : nodes_)
    if (node.kind == kind) found.push_back(node.results.front());
  return found;
}

Value Graph::find(NodeKind kind, std::string_view name) const {
  for (const Node& node : nodes_)
    if (node.kind == kind && node.label == name) return node.results.front();
  return {};
}

}  // namespace espalier
