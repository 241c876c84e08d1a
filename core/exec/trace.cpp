#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/exec/profile.h"

namespace espalier::exec {

std::string chrome_trace(const lower::CallList& list, std::span<const double> call_ms) {
  ESP_CHECK(call_ms.size() == list.calls.size());
  using nlohmann::json;
  json events = json::array();
  double now_us = 0;
  for (size_t i = 0; i < list.calls.size(); ++i) {
    const lower::Call& call = list.calls[i];
    const Node& node = list.graph->node(call.node);
    const OpCall op_call = list.graph->call(node);
    const Cost cost = (*node.op->cost)(op_call);
    json operands = json::array(), results = json::array();
    for (const TensorType& type : op_call.inputs)
      if (type.present()) operands.push_back(to_string(type));
    for (const TensorType& type : op_call.results) results.push_back(to_string(type));
    events.push_back({{"name", *node.op->name},
                      {"cat", call.kernel},
                      {"ph", "X"},
                      {"pid", 1},
                      {"tid", 1},
                      {"ts", now_us},
                      {"dur", call_ms[i] * 1e3},
                      {"args",
                       {{"path", node.path},
                        {"kernel", call.kernel},
                        {"operands", operands},
                        {"results", results},
                        {"flops", cost.flops},
                        {"bytes", cost.bytes_read + cost.bytes_written}}}});
    events.push_back(
        {{"name", "arena"}, {"ph", "C"}, {"pid", 1}, {"ts", now_us}, {"args", {{"live bytes", list.live_bytes[i]}}}});
    now_us += call_ms[i] * 1e3;
  }
  return json{{"traceEvents", events}, {"displayTimeUnit", "ms"}}.dump() + "\n";
}

}  // namespace espalier::exec
