#include "core/cli/graph_file.h"

#include <iostream>
#include <iterator>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "core/ir/parse.h"
#include "core/ops/registry.h"

namespace espalier::cli {
namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{256} << 20;

std::string read_standard_input(const std::string& command) {
  std::string text{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  if (text.size() > kMaxTextBytes)
    throw UserError("[" + command + "] standard input holds more than " + human_bytes(kMaxTextBytes));
  return text;
}

}  // namespace

std::string graph_file_name(const std::string& graph) { return graph == "-" ? "<stdin>" : graph; }

std::vector<Graph> read_graphs(const std::string& graph, const std::string& command) {
  if (graph.empty()) throw UserError("[" + command + "] GRAPH is missing: name a .eir file, or - for standard input");
  const std::string text = graph == "-" ? read_standard_input(command) : read_text(graph, kMaxTextBytes);
  std::vector<Graph> graphs = parse_all(text, ops::registry(), graph_file_name(graph));
  if (graphs.empty()) throw UserError(graph_file_name(graph) + ":1:1: no graph here");
  return graphs;
}

}  // namespace espalier::cli
