// Choices are weighed on schedules, lists of which node runs when; a graph is built once, of the last one.

#include "core/passes/recompute.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/ops/registry.h"
#include "core/passes/liveness.h"
#include "core/passes/repeatable.h"

namespace espalier::passes {
namespace {

/// Which units to recompute.
class Search {
 public:
  Search(const Graph& graph, const Repeatable& units, std::vector<uint64_t> workspaces)
      : graph_(graph),
        units_(units),
        workspaces_(std::move(workspaces)),
        best_{std::vector<bool>(units.units().size(), false), 0} {
    best_.bytes = measure(best_.chosen).live.peak_bytes();
  }

  std::vector<bool> run(uint64_t target) {
    // Leaving units out can open another way down.
    for (uint64_t before = best_.bytes + 1; best_.bytes > target && best_.bytes < before;) {
      before = best_.bytes;
      add_units(target);
      if (best_.bytes < before) leave_out_units(std::max(target, best_.bytes));
    }
    return best_.chosen;
  }

 private:
  struct Choice {
    std::vector<bool> chosen;  // by unit
    uint64_t bytes = 0;        // at the peak
  };
  struct Measured {
    Schedule schedule;
    Liveness live;
    Run peak() const { return schedule.runs[live.peak]; }
  };

  Measured measure(const std::vector<bool>& chosen) const {
    Schedule schedule = units_.schedule(chosen);
    Liveness live = liveness(graph_, schedule, workspaces_);
    return {std::move(schedule), std::move(live)};
  }
  Measured measure_flipped(std::vector<bool> chosen, size_t unit) const {
    chosen[unit] = !chosen[unit];
    return measure(chosen);
  }

  /// Goes on past a choice that does not lower the peak, because there may be two that are as high.
  void add_units(uint64_t target) {
    Choice now = best_;
    Measured measured = measure(now.chosen);
    while (now.bytes > target) {
      const std::optional<size_t> unit = best_unit(now, measured);
      if (!unit) return;
      now.chosen[*unit] = true;
      measured = measure(now.chosen);
      now.bytes = measured.live.peak_bytes();
      if (now.bytes < best_.bytes) best_ = now;
    }
  }

  /// The unit that saves most bytes at the peak for its FLOPs. Those that could save most are measured first, and those that
  /// could not save as much as one that was are not.
  std::optional<size_t> best_unit(const Choice& now, const Measured& measured) const {
    struct Candidate {
      size_t unit;
      double at_most;
    };
    std::vector<Candidate> candidates;
    for (size_t u = 0; u < units_.units().size(); ++u)
      if (const uint64_t bytes = now.chosen[u] ? 0 : most_bytes(units_.units()[u], measured); bytes > 0)
        candidates.push_back({u, worth(bytes, u)});
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const Candidate& a, const Candidate& b) { return a.at_most > b.at_most; });
    std::optional<size_t> best;
    double most = 0;
    for (const Candidate& candidate : candidates) {
      if (candidate.at_most <= most) break;
      const Measured with = measure_flipped(now.chosen, candidate.unit);
      const auto& runs = with.schedule.runs;
      const auto at = static_cast<size_t>(std::find(runs.begin(), runs.end(), measured.peak()) - runs.begin());
      const uint64_t left = at < runs.size() ? with.live.bytes[at] : 0;
      if (left >= now.bytes || worth(now.bytes - left, candidate.unit) <= most) continue;
      most = worth(now.bytes - left, candidate.unit);
      best = candidate.unit;
    }
    return best;
  }

  double worth(uint64_t bytes, size_t unit) const { return static_cast<double>(bytes) / (units_.units()[unit].flops + 1); }

  /// Bytes of the unit's values that lie over the peak.
  static uint64_t most_bytes(const Unit& unit, const Measured& measured) {
    const auto& runs = measured.schedule.runs;
    size_t at = measured.live.peak;
    while (runs[at].again) ++at;  // it runs directly before what needs it
    uint64_t bytes = 0;
    for (const Unit::Again& again : unit.again)
      if (again.node < runs[at].node && runs[at].node <= again.needed_by) bytes += whole_lines(again.bytes);
    return bytes;
  }

  /// Dearest first.
  void leave_out_units(uint64_t limit) {
    std::vector<size_t> order;
    for (size_t u = 0; u < best_.chosen.size(); ++u)
      if (best_.chosen[u]) order.push_back(u);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return units_.units()[a].flops > units_.units()[b].flops; });
    for (size_t u : order) {
      const uint64_t bytes = measure_flipped(best_.chosen, u).live.peak_bytes();
      if (bytes > limit) continue;
      best_.chosen[u] = false;
      best_.bytes = bytes;
    }
  }

  const Graph& graph_;
  const Repeatable& units_;
  std::vector<uint64_t> workspaces_;
  Choice best_;
};

std::vector<uint64_t> workspaces_of(const Graph& graph, const Context& context) {
  std::vector<uint64_t> bytes;
  if (!context.workspace) return bytes;
  for (const Node& node : graph.nodes()) {
    bytes.push_back(0);
    if (node.kind != NodeKind::kOp || node.is(ops::reshape_def)) continue;
    const OpCall call = graph.call(node);
    bytes.back() = context.workspace(call, params_among(graph, node.inputs, call.inputs.size()));
  }
  return bytes;
}

Graph build(const Graph& graph, const Schedule& schedule) {
  Graph out;
  out.name = graph.name;
  std::vector<Value> map[2] = {std::vector<Value>(graph.values().size()), std::vector<Value>(graph.values().size())};
  for (const Run run : schedule.runs) {
    const Node& node = graph.node(run.node);
    Node copy = node;
    copy.recompute = node.recompute || run.again;
    for (Value& v : copy.inputs)
      if (v.present()) v = map[schedule.reads_second(run, graph.info(v).node) ? 1 : 0][v.id];
    if (const Value of = node.grad_of; of.present()) copy.grad_of = map[0][of.id].present() ? map[0][of.id] : map[1][of.id];
    std::vector<TensorType> types;
    std::vector<std::string> names;
    for (Value v : node.results) {
      types.push_back(graph.type(v));
      names.push_back(graph.info(v).name + (run.again ? ".again" : ""));
    }
    const size_t made = out.append(std::move(copy), std::move(types), std::move(names));
    for (size_t i = 0; i < node.results.size(); ++i) map[run.again ? 1 : 0][node.results[i].id] = out.node(made).results[i];
  }
  for (const Output& output : graph.outputs()) out.add_output(output.name, map[0][output.value.id]);
  return out;
}

}  // namespace

Graph recompute(const Graph& graph, const Context& context) {
  if (!context.recompute_above_bytes) return graph;
  const Repeatable units(graph);
  const std::vector<bool> chosen = Search(graph, units, workspaces_of(graph, context)).run(*context.recompute_above_bytes);
  if (std::find(chosen.begin(), chosen.end(), true) == chosen.end()) return graph;
  return build(graph, units.schedule(chosen));
}

}  // namespace espalier::passes
