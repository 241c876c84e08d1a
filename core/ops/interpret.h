#pragma once
// Runs a graph by the reference functions of its ops: the meaning that every backend is measured against.

#include <functional>
#include <span>
#include <vector>

#include "core/ir/graph.h"

namespace espalier::ops {

/// Values of an input or parameter node, row-major, widened to double. Asked once for each node that something reads,
/// at its first reader.
using InterpretSource = std::function<std::vector<double>(const Node&)>;

/// Evaluates `graph` and returns its outputs in order.
///
/// With `round_to_dtype` every value is rounded to its dtype after each op, as memory would round it; else everything
/// stays double.
/// Errors: InternalError when `source` returns another number of elements than the node's type has.
/// Cost: naive; a value is freed after its last reader, a reshape of a value that nothing else reads moves it.
std::vector<std::vector<double>> interpret(const Graph& graph, const InterpretSource& source, bool round_to_dtype);

/// Evaluates one op: the results of `call` (whose `results` are filled in) for operands `in`, unrounded.
std::vector<std::vector<double>> evaluate(const OpCall& call, std::span<const RefTensor> in);

}  // namespace espalier::ops
