#pragma once
// Ways through a graph: who reads a value, when last, what an output needs; and block paths as text.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/ir/graph.h"

namespace espalier {

/// For every value: the nodes that read it, in order, a node once per operand. Outputs are not nodes.
std::vector<std::vector<uint32_t>> users(const Graph& graph);
/// For every value: the index of the last node that reads it; the number of nodes when an output does; its own node
/// when nothing does.
std::vector<size_t> last_uses(const Graph& graph);
/// For every node: whether some output depends on it. Inputs always count as needed: they are the graph's signature.
std::vector<bool> needed_nodes(const Graph& graph);

/// Modules in a block path, where a name and its index count as one: "down_blocks.1.resnets.0" → 2, "" → 0.
int path_depth(std::string_view path);
/// The first `depth` modules: ("down_blocks.1.resnets.0.conv1", 2) → "down_blocks.1.resnets.0"; all of a shorter path.
std::string_view path_prefix(std::string_view path, int depth);
/// Whether `path` is `block` or lies inside it: "a.1.b" is in "a.1", "a.10" is not.
bool is_inside(std::string_view path, std::string_view block);

}  // namespace espalier
