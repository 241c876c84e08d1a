#include "core/exec/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "core/base/error.h"

namespace espalier::exec {
namespace {

struct Row {
  std::string name;
  size_t calls = 0;
  double ms = 0, flops = 0, bytes = 0;
};

std::string first_parts(const std::string& path, int depth) {
  size_t end = 0;
  for (int part = 0; part < depth && end != std::string::npos; ++part) end = path.find('.', part == 0 ? 0 : end + 1);
  return path.empty() ? "(outside the blocks)" : path.substr(0, end);
}

std::string_view title(ProfileBy by) { return by == ProfileBy::kOp ? "op" : by == ProfileBy::kKernel ? "kernel" : "block"; }

std::string line(const Row& row, double total_ms) {
  const double seconds = row.ms / 1e3;
  const auto rate = [&](double amount) {
    return seconds > 0 && amount > 0 ? fmt::format("{:.1f}", amount / seconds / 1e9) : "-";
  };
  return fmt::format("{:<40} {:>6} {:>10.3f} {:>6.1f} {:>10} {:>8}\n", row.name, row.calls, row.ms,
                     total_ms > 0 ? 100 * row.ms / total_ms : 0.0, rate(row.flops), rate(row.bytes));
}

}  // namespace

std::string profile_table(const lower::CallList& list, std::span<const double> call_ms, ProfileBy by, int depth) {
  ESP_CHECK(call_ms.size() == list.calls.size());
  std::map<std::string, Row> rows;
  Row total{"total"};
  for (size_t i = 0; i < list.calls.size(); ++i) {
    const lower::Call& call = list.calls[i];
    const Node& node = list.graph->node(call.node);
    const Cost cost = (*node.op->cost)(list.graph->call(node));
    const std::string op(*node.op->name);
    const std::string key = by == ProfileBy::kOp       ? op
                            : by == ProfileBy::kKernel ? call.kernel + " " + op
                                                       : first_parts(node.path, depth);
    rows[key].name = key;
    for (Row* row : {&rows[key], &total}) {
      ++row->calls;
      row->ms += call_ms[i];
      row->flops += cost.flops;
      row->bytes += cost.bytes_read + cost.bytes_written;
    }
  }
  std::vector<Row> sorted;
  for (const auto& [key, row] : rows) sorted.push_back(row);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Row& a, const Row& b) { return a.ms > b.ms; });
  std::string text = fmt::format("{:<40} {:>6} {:>10} {:>6} {:>10} {:>8}\n", title(by), "calls", "ms", "%", "GFLOP/s", "GB/s");
  for (const Row& row : sorted) text += line(row, total.ms);
  return text + line(total, total.ms);
}

}  // namespace espalier::exec
