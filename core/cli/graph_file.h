#pragma once
// Graphs in text form, as commands take them.

#include <string>
#include <vector>

#include "core/ir/graph.h"

namespace espalier::cli {

/// What messages call the file: its path, or "<stdin>".
std::string graph_file_name(const std::string& graph);
/// The graphs of a .eir file, or of standard input for "-". `command` is named in messages.
/// Errors: UserError when it is missing, not readable, over 256 MiB or holds no graph; every fault of the text with its place.
std::vector<Graph> read_graphs(const std::string& graph, const std::string& command);

}  // namespace espalier::cli
