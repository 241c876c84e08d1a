// A value has a place for each of its runs, 2·id and 2·id + 1, so that nothing is looked up by name while many choices are
// weighed against each other.

#include "core/passes/liveness.h"

#include <algorithm>
#include <cstddef>

#include "core/ops/registry.h"

namespace espalier::passes {
namespace {

class Lifetimes {
 public:
  Lifetimes(const Graph& graph, const Schedule& schedule)
      : graph_(graph), schedule_(schedule), root_(2 * graph.values().size()), outside_(root_.size(), false) {
    for (const Run& run : schedule.runs) find_roots(run);
    for (const Output& output : graph.outputs()) outside_[root_[place(output.value, false)]] = true;
  }

  Liveness measure(const std::vector<uint64_t>& workspaces) {
    const size_t runs = schedule_.runs.size();
    constexpr size_t kNone = SIZE_MAX;
    std::vector<size_t> first(root_.size(), kNone), last(root_.size());
    std::vector<int64_t> change(runs + 1, 0);
    for (size_t at = 0; at < runs; ++at) {
      const Run run = schedule_.runs[at];
      const Node& node = graph_.node(run.node);
      if (node.kind != NodeKind::kOp || node.is(ops::reshape_def)) continue;  // no call
      for (Value result : node.results) {
        const size_t made = place(result, run.again);
        if (!outside_[root_[made]]) first[made] = last[made] = at;
      }
      for (Value operand : node.inputs)
        if (operand.present()) last[root_[read(run, operand)]] = at;
      if (run.node < workspaces.size()) add(change, whole_lines(workspaces[run.node]), at, at);
    }
    for (size_t v = 0; v < first.size(); ++v)
      if (first[v] != kNone) add(change, whole_lines(graph_.values()[v / 2].type.bytes()), first[v], last[v]);
    Liveness result;
    int64_t now = 0;
    for (size_t at = 0; at < runs; ++at) result.bytes.push_back(static_cast<uint64_t>(now += change[at]));
    result.peak = static_cast<size_t>(std::max_element(result.bytes.begin(), result.bytes.end()) - result.bytes.begin());
    return result;
  }

 private:
  static size_t place(Value v, bool again) { return 2 * size_t{v.id} + (again ? 1 : 0); }
  size_t read(Run run, Value operand) const { return place(operand, schedule_.reads_second(run, graph_.info(operand).node)); }

  static void add(std::vector<int64_t>& change, uint64_t bytes, size_t first, size_t last) {
    change[first] += static_cast<int64_t>(bytes);
    change[last + 1] -= static_cast<int64_t>(bytes);
  }

  void find_roots(Run run) {
    const Node& node = graph_.node(run.node);
    for (Value result : node.results) {
      const size_t made = place(result, run.again);
      root_[made] = made;
      outside_[made] = node.kind != NodeKind::kOp;
    }
    if (node.kind != NodeKind::kOp) return;
    if (node.is(ops::reshape_def)) root_[place(node.results[0], run.again)] = root_[read(run, node.inputs[0])];
    for (const Alias& alias : node.op->aliases)
      root_[place(node.results[alias.result], run.again)] = root_[read(run, node.inputs[alias.operand])];
  }

  const Graph& graph_;
  const Schedule& schedule_;
  std::vector<size_t> root_;   // by place: whose memory it is
  std::vector<bool> outside_;  // by root: not in the arena
};

}  // namespace

Schedule in_order(const Graph& graph) {
  const size_t count = graph.nodes().size();
  Schedule schedule{{}, std::vector<bool>(count, false), std::vector<bool>(count, false)};
  for (size_t i = 0; i < count; ++i) schedule.runs.push_back({static_cast<uint32_t>(i), false});
  return schedule;
}

Liveness liveness(const Graph& graph, const Schedule& schedule, const std::vector<uint64_t>& workspaces) {
  return Lifetimes(graph, schedule).measure(workspaces);
}

}  // namespace espalier::passes
