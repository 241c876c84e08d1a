#include "core/ir/rewrite.h"

#include "core/base/error.h"
#include "core/ir/walk.h"

namespace espalier {
namespace {

/// Copies `node` of `from` into `to` with operands as given, and its values' names.
size_t copy_node(const Graph& from, const Node& node, std::vector<Value> inputs, Value grad_of, Graph& to) {
  Node copy = node;
  copy.inputs = std::move(inputs);
  copy.grad_of = grad_of;
  std::vector<TensorType> types;
  std::vector<std::string> names;
  for (Value v : node.results) {
    types.push_back(from.type(v));
    names.push_back(from.info(v).name);
  }
  return to.append(std::move(copy), std::move(types), std::move(names));
}

}  // namespace

Rewriter::Rewriter(const Graph& from) : from_(from), builder_(made_), map_(from.values().size()) {
  made_.name = from.name;
  for (bool needed : needed_nodes(from)) was_dead_.push_back(!needed);
}

Value Rewriter::operator[](Value old) const {
  if (!old.present()) return old;
  const Value now = map_[old.id];
  if (!now.present()) internal_error("a pass reads '%" + from_.info(old).name + "' before it kept or replaced it");
  return now;
}

std::vector<Value> Rewriter::operator[](const std::vector<Value>& old) const {
  std::vector<Value> now;
  now.reserve(old.size());
  for (Value v : old) now.push_back((*this)[v]);
  return now;
}

void Rewriter::tag_new_nodes() {
  for (; tagged_ < made_.nodes().size(); ++tagged_) {
    Node& node = made_.node(tagged_);
    if (current_ == nullptr || node.kind == NodeKind::kParam || node.kind == NodeKind::kInput) continue;
    node.recompute = current_->recompute;
    // A backward node may be rewritten after the forward value that it names was merged away.
    node.grad_of = current_->grad_of.present() ? map_[current_->grad_of.id] : Value{};
  }
}

void Rewriter::at(const Node& node) {
  tag_new_nodes();
  current_ = &node;
  builder_.set_path(node.path);
  builder_.frozen = node.frozen;
}

void Rewriter::keep(const Node& node) {
  tag_new_nodes();
  const size_t index = copy_node(from_, node, (*this)[node.inputs], (*this)[node.grad_of], made_);
  tagged_ = index + 1;
  for (size_t i = 0; i < node.results.size(); ++i) map_[node.results[i].id] = made_.node(index).results[i];
  if (!node.results.empty() && was_dead_[from_.info(node.results[0]).node]) kept_dead_.push_back(index);
}

void Rewriter::replace(const Node& node, Value now) {
  ESP_CHECK(node.results.size() == 1 && now.present());
  const Value old = node.results.front();
  const size_t first_new = tagged_;
  tag_new_nodes();
  map_[old.id] = now;
  changed_ = true;
  const size_t defined = made_.info(now).node;
  if (defined < first_new) return;
  // The value built for the old one takes its name; values on the way to it are numbered below that name.
  const std::string name = from_.info(old).name;
  made_.set_value_name(now, name);
  int part = 0;
  for (size_t i = first_new; i < made_.nodes().size(); ++i)
    for (Value v : made_.node(i).results)
      if (!(v == now)) made_.set_value_name(v, name + "." + std::to_string(part++));
}

// A backward node whose forward value went into another node is a backward node of that one, if the value is there by then.
void Rewriter::retag_orphans(const std::vector<bool>& keep) {
  const auto dropped = [&](Value v) { return v.present() && !keep[made_.info(v).node]; };
  std::vector<Value> heir(made_.values().size());
  // Definitions precede their uses, so a backward sweep ends at the first reader of a value.
  for (size_t i = from_.nodes().size(); i-- > 0;) {
    const Node& node = from_.node(i);
    if (node.grad_of.present() || node.results.empty()) continue;
    Value now = map_[node.results.front().id];
    if (dropped(now)) now = heir[now.id];
    if (!now.present()) continue;
    for (Value v : node.inputs)
      if (v.present() && dropped(map_[v.id])) heir[map_[v.id].id] = now;
  }
  for (size_t i = 0; i < made_.nodes().size(); ++i) {
    Node& node = made_.node(i);
    if (!dropped(node.grad_of)) continue;
    const Value now = heir[node.grad_of.id];
    if (now.present() && made_.info(now).node < i) node.grad_of = now;
  }
}

Graph Rewriter::finish() {
  tag_new_nodes();
  for (const Output& output : from_.outputs()) made_.add_output(output.name, (*this)[output.value]);
  std::vector<bool> keep = needed_nodes(made_);
  for (size_t index : kept_dead_) keep[index] = true;
  for (size_t i = made_.nodes().size(); i-- > 0;) {
    if (!keep[i]) continue;
    for (Value v : made_.node(i).inputs)
      if (v.present()) keep[made_.info(v).node] = true;
  }
  retag_orphans(keep);
  return filtered(made_, keep);
}

Graph filtered(const Graph& graph, const std::vector<bool>& keep) {
  std::vector<uint32_t> order;
  for (size_t i = 0; i < keep.size(); ++i)
    if (keep[i]) order.push_back(static_cast<uint32_t>(i));
  return reordered(graph, order);
}

Graph reordered(const Graph& graph, const std::vector<uint32_t>& order) {
  Graph out;
  out.name = graph.name;
  std::vector<Value> map(graph.values().size());
  const auto mapped = [&](Value v) { return v.present() ? map[v.id] : v; };
  for (uint32_t i : order) {
    const Node& node = graph.node(i);
    std::vector<Value> inputs;
    for (Value v : node.inputs) {
      inputs.push_back(mapped(v));
      if (v.present() && !inputs.back().present())
        internal_error("'%" + graph.info(v).name + "' is read where no node has made it");
    }
    const size_t index = copy_node(graph, node, std::move(inputs), mapped(node.grad_of), out);
    for (size_t r = 0; r < node.results.size(); ++r) map[node.results[r].id] = out.node(index).results[r];
  }
  for (const Output& output : graph.outputs()) out.add_output(output.name, map[output.value.id]);
  return out;
}

}  // namespace espalier
