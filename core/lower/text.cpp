#include <fmt/format.h>

#include <map>

#include "core/base/text.h"
#include "core/lower/lower.h"

namespace espalier::lower {
namespace {

std::string place_text(const Place& place) {
  switch (place.space) {
    case Space::kNone:
      return "-";
    case Space::kArena:
      return fmt::format("@{}", place.at);
    case Space::kInput:
      return fmt::format("in{}", place.at);
    case Space::kOutput:
      return fmt::format("out{}", place.at);
    case Space::kParam:
      return fmt::format("p{}", place.at);
    case Space::kConstant:
      return fmt::format("c{}", place.at);
  }
  return "?";
}

std::string places_text(const std::vector<Place>& places) {
  std::vector<std::string> parts;
  for (const Place& place : places) parts.push_back(place_text(place));
  return join(parts, " ");
}

std::string signature(const OpCall& call) {
  std::string text(*call.op->name);
  for (const TensorType& type : call.inputs) text += type.present() ? " " + to_string(type) : " -";
  for (const TensorType& type : call.results) text += " -> " + to_string(type);
  return text;
}

}  // namespace

std::string to_text(const CallList& list) {
  std::string text;
  double flops = 0;
  for (size_t i = 0; i < list.calls.size(); ++i) {
    const Call& call = list.calls[i];
    const Node& node = list.graph->node(call.node);
    const OpCall op_call = list.graph->call(node);
    const Cost cost = (*node.op->cost)(op_call);
    flops += cost.flops;
    text +=
        fmt::format("{:4} {} <- {} {} [{}]", i, places_text(call.results), *node.op->name, places_text(call.inputs), call.kernel);
    if (call.workspace_bytes > 0) text += fmt::format(" workspace @{}+{}", call.workspace_offset, call.workspace_bytes);
    if (cost.flops > 0) text += fmt::format(" {:.0f} flops", cost.flops);
    for (const TensorType& type : op_call.results) text += " : " + to_string(type);
    if (!node.path.empty()) text += " @" + node.path;
    text += '\n';
  }
  for (const OutputCopy& copy : list.copies) text += fmt::format("copy out{} <- {}\n", copy.output, place_text(copy.from));
  text += fmt::format("{} calls, {:.0f} flops, arena {} bytes", list.calls.size(), flops, list.arena_bytes);
  if (!list.calls.empty()) text += fmt::format(", fullest at call {} with {} bytes", list.peak_call, list.peak_live_bytes());
  return text + '\n';
}

std::string refusals_text(const CallList& list) {
  struct Group {
    const Call* call;
    size_t count = 0;
  };
  std::map<std::string, Group> groups;
  for (const Call& call : list.calls) {
    if (call.on_backend) continue;
    Group& group = groups[signature(list.graph->call(list.graph->node(call.node)))];
    if (group.count++ == 0) group.call = &call;
  }
  std::string text;
  for (const auto& [what, group] : groups) {
    std::vector<std::string> reasons;
    for (const Refusal& refusal : group.call->refusals) reasons.push_back(refusal.kernel + ": " + refusal.reason);
    text += "  " + what + ": " + (reasons.empty() ? "no kernel for this op" : join(reasons, "; "));
    const std::string& path = list.graph->node(group.call->node).path;
    text += " (" + (path.empty() ? std::string("outside the blocks") : path);
    if (group.count > 1) text += fmt::format(", and {} more", group.count - 1);
    text += ")\n";
  }
  return text;
}

}  // namespace espalier::lower
