#pragma once
// One graph inside another.

#include <functional>
#include <vector>

#include "core/ir/graph.h"

namespace espalier {

/// What stands for an input or parameter of the appended graph: a value of the other graph, of the same type.
using LeafValue = std::function<Value(const Node& leaf, const TensorType& type)>;

/// Appends the ops and constants of `from` to `to`, in order, and returns the values of its outputs there. `alter` may change
/// a node's path and tags before it is appended. Names of values stay where they are free.
std::vector<Value> append_graph(Graph& to, const Graph& from, const LeafValue& leaf, const std::function<void(Node&)>& alter);

}  // namespace espalier
