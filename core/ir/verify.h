#pragma once
// Whether a graph keeps the rules that every pass and backend relies on.

#include <string>
#include <vector>

#include "core/ir/graph.h"

namespace espalier {

/// Every broken rule of `graph`, in node order, each as `[op] what (block path)` with the node and two lines of the
/// graph above and below it. Empty for a sound graph.
///
/// Rules: operands exist and are defined before their node; arity; attributes known, complete and of their kind; result
/// types are those that the op infers; extents at least 1; inputs, parameters and outputs have unique names; constants
/// hold as many numbers as their type; outputs exist.
/// Cost: linear in nodes; each op's shape rule runs once.
std::vector<std::string> faults(const Graph& graph);

/// Errors: VerifyError with the first ten faults.
void verify(const Graph& graph);

}  // namespace espalier
