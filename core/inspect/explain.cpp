// Groups are ranked by their FLOPs, then by the bytes they move: what stands on top is what a run spends its time on.

#include "core/inspect/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <vector>

#include "core/base/terminal.h"
#include "core/base/text.h"
#include "core/inspect/summary.h"
#include "core/ir/print.h"

namespace espalier::inspect {
namespace {

using terminal::Table;

struct Group {
  const lower::Call* call = nullptr;  // the first of them
  size_t count = 0;
  Cost cost;  // of all together
  double moved_bytes() const { return cost.bytes_read + cost.bytes_written; }
};

std::string signature(const Graph& graph, const Node& node) {
  const OpCall call = graph.call(node);
  std::string text(*call.op->name);
  for (const TensorType& type : call.inputs) text += type.present() ? " " + to_string(type.shape) : " -";
  if (const std::string attrs = print_attrs(*call.op, call.attrs); !attrs.empty()) text += " " + attrs;
  return text;
}

std::string place_of(const Graph& graph, const Node& node) {
  const std::string owner = owner_of(graph, node);
  return owner.empty() ? "outside the blocks" : owner;
}

void add(Cost& sum, const Cost& cost) {
  sum.flops += cost.flops;
  sum.other_flops += cost.other_flops;
  sum.bytes_read += cost.bytes_read;
  sum.bytes_written += cost.bytes_written;
}

bool heavier(const Group& a, const Group& b) {
  if (a.cost.flops != b.cost.flops) return a.cost.flops > b.cost.flops;
  return a.moved_bytes() > b.moved_bytes();
}

std::string percent(double part, double whole) { return whole > 0 && part > 0 ? fmt::format("{:.1f}%", 100 * part / whole) : ""; }

/// One line per group, and below it the kernels that refused.
std::string groups_text(const lower::CallList& list, const std::vector<Group>& groups, const Cost& total) {
  constexpr auto kLeft = Table::Align::kLeft, kRight = Table::Align::kRight;
  Table table({kRight, kLeft, kRight, kRight, kRight, kRight, kLeft});
  table.header({"calls", "kernel", "flops", "", "moved", "workspace", "op, operand shapes, attributes"});
  std::vector<std::string> notes;
  for (const Group& group : groups) {
    const Node& node = list.graph->node(group.call->node);
    std::string what = signature(*list.graph, node);
    if (group.count == 1) what += "  @" + place_of(*list.graph, node);
    table.row({std::to_string(group.count), group.call->kernel, group.cost.flops > 0 ? human_count(group.cost.flops) : "",
               percent(group.cost.flops, total.flops), human_bytes(static_cast<uint64_t>(group.moved_bytes())),
               group.call->workspace_bytes > 0 ? human_bytes(group.call->workspace_bytes) : "", what});
    std::string refusals;
    for (const lower::Refusal& refusal : group.call->refusals)
      refusals += "         " + refusal.kernel + " refused: " + refusal.reason + "\n";
    notes.push_back(refusals);
  }
  std::string text;
  size_t row = 0;
  for (const std::string& line : split(table.text(), '\n')) {
    if (line.empty()) continue;
    text += line + "\n";
    if (row > 0) text += notes[row - 1];
    ++row;
  }
  return text;
}

std::string kernels_text(const std::vector<Group>& groups, const Cost& total) {
  std::map<std::string, Group> kernels;
  for (const Group& group : groups) {
    Group& kernel = kernels[group.call->kernel];
    kernel.count += group.count;
    add(kernel.cost, group.cost);
  }
  std::vector<std::pair<std::string, Group>> ranked(kernels.begin(), kernels.end());
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return heavier(a.second, b.second); });
  constexpr auto kLeft = Table::Align::kLeft, kRight = Table::Align::kRight;
  Table table({kRight, kLeft, kRight, kRight, kRight});
  table.header({"calls", "kernel", "flops", "", "moved"});
  for (const auto& [name, kernel] : ranked)
    table.row({std::to_string(kernel.count), name, kernel.cost.flops > 0 ? human_count(kernel.cost.flops) : "",
               percent(kernel.cost.flops, total.flops), human_bytes(static_cast<uint64_t>(kernel.moved_bytes()))});
  return table.text();
}

struct Live {
  const Node* node = nullptr;  // that makes the value
  TensorType type;
  size_t first = 0, last = 0;
};

/// The arena's values with the calls that they live through. A value is found again by its place: a reshape keeps it.
std::vector<Live> lifetimes(const lower::CallList& list) {
  std::vector<Live> lives;
  std::unordered_map<uint64_t, size_t> at;
  for (size_t i = 0; i < list.calls.size(); ++i) {
    const lower::Call& call = list.calls[i];
    for (const lower::Place& place : call.inputs)
      if (const auto found = at.find(place.at); place.space == lower::Space::kArena && found != at.end())
        lives[found->second].last = i;
    const Node& node = list.graph->node(call.node);
    for (size_t k = 0; k < call.results.size(); ++k) {
      if (call.results[k].space != lower::Space::kArena) continue;
      at[call.results[k].at] = lives.size();
      lives.push_back({&node, list.graph->type(node.results[k]), i, i});
    }
  }
  return lives;
}

std::string peak_text(const lower::CallList& list) {
  if (list.calls.empty()) return "";
  std::vector<Live> live;
  for (const Live& value : lifetimes(list))
    if (value.first <= list.peak_call && list.peak_call <= value.last) live.push_back(value);
  std::stable_sort(live.begin(), live.end(), [](const Live& a, const Live& b) { return a.type.bytes() > b.type.bytes(); });
  constexpr auto kLeft = Table::Align::kLeft, kRight = Table::Align::kRight;
  Table table({kRight, kLeft, kLeft, kLeft});
  for (const Live& value : live)
    table.row({"  " + human_bytes(value.type.bytes()), std::string(*value.node->op->name), to_string(value.type),
               place_of(*list.graph, *value.node)});
  if (const uint64_t workspace = list.calls[list.peak_call].workspace_bytes; workspace > 0)
    table.row({"  " + human_bytes(workspace), "workspace", "",
               place_of(*list.graph, list.graph->node(list.calls[list.peak_call].node))});
  return "alive there\n" + table.text();
}

}  // namespace

std::string memory_line(const lower::CallList& list) {
  if (list.calls.empty()) return "arena 0 B";
  const Node& node = list.graph->node(list.calls[list.peak_call].node);
  return fmt::format("arena {}, fullest at {} ({}) with {} alive", human_bytes(list.arena_bytes), place_of(*list.graph, node),
                     *node.op->name, human_bytes(list.peak_live_bytes()));
}

std::string explain(const lower::CallList& list, const ExplainOptions& options) {
  std::vector<Group> groups;
  std::unordered_map<std::string, size_t> index;
  Cost total;
  for (const lower::Call& call : list.calls) {
    const Node& node = list.graph->node(call.node);
    std::string key = call.kernel + " " + signature(*list.graph, node);
    if (options.expand) key += " " + std::to_string(call.node);
    const auto [found, fresh] = index.emplace(std::move(key), groups.size());
    if (fresh) groups.push_back({.call = &call});
    const Cost cost = (*node.op->cost)(list.graph->call(node));
    ++groups[found->second].count;
    add(groups[found->second].cost, cost);
    add(total, cost);
  }
  if (!options.expand) std::stable_sort(groups.begin(), groups.end(), heavier);
  std::string text = fmt::format("{} calls, {} flops, {} moved\n\n", list.calls.size(), human_count(total.flops),
                                 human_bytes(static_cast<uint64_t>(total.bytes_read + total.bytes_written)));
  text += groups_text(list, groups, total) + "\n" + kernels_text(groups, total) + "\n";
  return text + "memory  " + memory_line(list) + "\n" + peak_text(list);
}

}  // namespace espalier::inspect
