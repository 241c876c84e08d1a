#include "core/ir/walk.h"

#include <algorithm>

namespace espalier {
namespace {

bool is_index(std::string_view part) {
  return !part.empty() && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Calls f(end of module, module's ordinal from 1) until it returns false.
template <typename F>
void each_module(std::string_view path, F&& f) {
  int ordinal = 0;
  for (size_t begin = 0; begin < path.size();) {
    size_t end = std::min(path.find('.', begin), path.size());
    if (end < path.size()) {
      const size_t next = std::min(path.find('.', end + 1), path.size());
      if (is_index(path.substr(end + 1, next - end - 1))) end = next;
    }
    if (!f(end, ++ordinal)) return;
    begin = end + 1;
  }
}

}  // namespace

std::vector<std::vector<uint32_t>> users(const Graph& graph) {
  std::vector<std::vector<uint32_t>> out(graph.values().size());
  for (size_t i = 0; i < graph.nodes().size(); ++i)
    for (Value v : graph.node(i).inputs)
      if (v.present()) out[v.id].push_back(static_cast<uint32_t>(i));
  return out;
}

std::vector<size_t> last_uses(const Graph& graph) {
  std::vector<size_t> out(graph.values().size());
  for (size_t v = 0; v < out.size(); ++v) out[v] = graph.values()[v].node;
  for (size_t i = 0; i < graph.nodes().size(); ++i)
    for (Value v : graph.node(i).inputs)
      if (v.present()) out[v.id] = i;
  for (const Output& output : graph.outputs()) out[output.value.id] = graph.nodes().size();
  return out;
}

std::vector<bool> needed_nodes(const Graph& graph) {
  std::vector<bool> needed(graph.nodes().size(), false);
  for (const Output& output : graph.outputs()) needed[graph.info(output.value).node] = true;
  // Definitions precede their uses, so one backward sweep reaches everything.
  for (size_t i = graph.nodes().size(); i-- > 0;) {
    if (graph.node(i).kind == NodeKind::kInput) needed[i] = true;
    if (!needed[i]) continue;
    for (Value v : graph.node(i).inputs)
      if (v.present()) needed[graph.info(v).node] = true;
  }
  return needed;
}

int path_depth(std::string_view path) {
  int depth = 0;
  each_module(path, [&](size_t, int ordinal) {
    depth = ordinal;
    return true;
  });
  return depth;
}

std::string_view path_prefix(std::string_view path, int depth) {
  size_t cut = 0;
  each_module(path, [&](size_t end, int ordinal) {
    if (ordinal > depth) return false;
    cut = end;
    return true;
  });
  return path.substr(0, cut);
}

bool is_inside(std::string_view path, std::string_view block) {
  return path.substr(0, block.size()) == block && (path.size() == block.size() || path[block.size()] == '.');
}

}  // namespace espalier
