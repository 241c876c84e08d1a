#include "core/passes/repeatable.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "core/ir/walk.h"
#include "core/ops/registry.h"

namespace espalier::passes {
namespace {

constexpr int kNoUnit = -1;

/// The innermost numbered block of `path`, down to a transformer block; empty outside of such.
std::string_view unit_of(std::string_view path) {
  for (int depth = std::min(3, path_depth(path)); depth > 0; --depth) {
    const std::string_view prefix = path_prefix(path, depth);
    const std::string_view number = prefix.substr(prefix.rfind('.') + 1);
    if (number.size() < prefix.size() && number.find_first_not_of("0123456789") == std::string_view::npos) return prefix;
  }
  return {};
}

}  // namespace

Repeatable::Repeatable(const Graph& graph)
    : graph_(graph), late_(graph.nodes().size(), false), unit_(graph.nodes().size(), kNoUnit), repeatable_(late_) {
  find_late();
  find_units();
  find_repeatable();
  find_again();
}

/// Backward nodes are tagged; what reads them belongs with them (sums of gradients, updates).
void Repeatable::find_late() {
  for (size_t i = 0; i < late_.size(); ++i) {
    const Node& node = graph_.node(i);
    if (node.kind != NodeKind::kOp) continue;
    bool late = node.grad_of.present() || node.recompute;
    for (Value v : node.inputs) late = late || (v.present() && late_[maker(v)]);
    late_[i] = late;
  }
}

void Repeatable::find_units() {
  std::map<std::string_view, int> known;
  for (size_t i = 0; i < unit_.size(); ++i) {
    const Node& node = graph_.node(i);
    if (node.kind != NodeKind::kOp || node.frozen || late_[i]) continue;
    const std::string_view path = unit_of(node.path);
    if (!path.empty()) unit_[i] = known.emplace(path, static_cast<int>(known.size())).first->second;
  }
  units_.resize(known.size());
}

/// The value whose memory `v` is.
Value Repeatable::memory(Value v) const {
  for (const Node* def = &graph_.def(v); def->kind == NodeKind::kOp; def = &graph_.def(v)) {
    if (def->is(ops::reshape_def)) {
      v = def->inputs[0];
      continue;
    }
    const auto& aliases = def->op->aliases;
    const auto over =
        std::find_if(aliases.begin(), aliases.end(), [&](const Alias& a) { return a.result == graph_.info(v).result; });
    if (over == aliases.end()) return v;
    v = def->inputs[over->operand];
  }
  return v;
}

/// Inputs that an in-place op overwrites: a second run after that would read something else.
std::set<uint32_t> Repeatable::overwritten() const {
  std::set<uint32_t> found;
  for (const Node& node : graph_.nodes())
    if (node.kind == NodeKind::kOp)
      for (const Alias& alias : node.op->aliases) found.insert(memory(node.inputs[alias.operand]).id);
  return found;
}

/// Nodes of a unit whose values stay inside it. A reshape costs no memory: it goes with its operand.
void Repeatable::find_repeatable() {
  const size_t count = graph_.nodes().size();
  std::vector<bool> crosses(graph_.values().size(), false);
  for (const Output& output : graph_.outputs()) crosses[output.value.id] = true;
  for (size_t i = count; i-- > 0;) {
    const Node& node = graph_.node(i);
    if (node.kind != NodeKind::kOp || late_[i]) continue;
    const bool view_crosses = node.is(ops::reshape_def) && crosses[node.results[0].id];
    for (Value v : node.inputs)
      if (v.present() && (view_crosses || unit_[maker(v)] != unit_[i])) crosses[v.id] = true;
  }
  const std::set<uint32_t> gone = overwritten();
  for (size_t i = 0; i < count; ++i) {
    const Node& node = graph_.node(i);
    if (unit_[i] == kNoUnit || !node.op->aliases.empty()) continue;
    bool stays = !node.is(ops::reshape_def) || repeatable_[maker(node.inputs[0])];
    for (Value v : node.results) stays = stays && !crosses[v.id];
    for (Value v : node.inputs) stays = stays && !(v.present() && !gone.empty() && gone.contains(memory(v).id));
    repeatable_[i] = stays;
  }
}

void Repeatable::find_again() {
  std::vector<bool> done(graph_.nodes().size(), false);
  for (uint32_t i = 0; i < late_.size(); ++i) {
    if (!late_[i]) continue;
    for (uint32_t made : ancestors(i, repeatable_, done)) {
      Unit& unit = units_[static_cast<size_t>(unit_[made])];
      const Node& node = graph_.node(made);
      const Cost cost = (*node.op->cost)(graph_.call(node));
      uint64_t bytes = 0;
      if (!node.is(ops::reshape_def))
        for (Value v : node.results) bytes += graph_.type(v).bytes();
      unit.again.push_back({made, i, bytes});
      unit.flops += cost.flops + cost.other_flops;
    }
  }
}

/// The nodes `among` that `node` hangs on through one another and that are not `done`, in the graph's order.
std::vector<uint32_t> Repeatable::ancestors(uint32_t node, const std::vector<bool>& among, std::vector<bool>& done) const {
  std::vector<uint32_t> found;
  const auto visit = [&](uint32_t reader) {
    for (Value v : graph_.node(reader).inputs) {
      if (!v.present() || !among[maker(v)] || done[maker(v)]) continue;
      done[maker(v)] = true;
      found.push_back(maker(v));
    }
  };
  visit(node);
  for (size_t k = 0; k < found.size(); ++k) visit(found[k]);
  std::sort(found.begin(), found.end());
  return found;
}

/// Which nodes still run where they stand.
std::vector<bool> Repeatable::first_runs(const std::vector<bool>& twice) const {
  std::vector<bool> first(twice.size());
  for (size_t i = 0; i < twice.size(); ++i) first[i] = !twice[i];
  for (size_t i = twice.size(); i-- > 0;) {
    if (!first[i] || late_[i]) continue;
    for (Value v : graph_.node(i).inputs)
      if (v.present()) first[maker(v)] = true;
  }
  return first;
}

Schedule Repeatable::schedule(const std::vector<bool>& chosen) const {
  const size_t count = graph_.nodes().size();
  Schedule schedule{{}, std::vector<bool>(count, false), late_};
  for (size_t u = 0; u < units_.size(); ++u)
    if (chosen[u])
      for (const Unit::Again& again : units_[u].again) schedule.twice[again.node] = true;
  const std::vector<bool> first = first_runs(schedule.twice);
  std::vector<bool> done(count, false);
  for (uint32_t i = 0; i < count; ++i) {
    if (late_[i])
      for (uint32_t made : ancestors(i, schedule.twice, done)) schedule.runs.push_back({made, true});
    if (first[i]) schedule.runs.push_back({i, false});
  }
  return schedule;
}

}  // namespace espalier::passes
