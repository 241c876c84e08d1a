#pragma once
#include "core/passes/pass.h"

namespace espalier::passes {
/// Of equal nodes (op, operands, attributes, tags) the first stays, with its name and block path. add, mul and maximum
/// are equal with their operands swapped. Nodes marked !recompute are left alone: they repeat others on purpose.
Graph cse(const Graph& graph, const Context& context);
}  // namespace espalier::passes
