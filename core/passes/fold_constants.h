#pragma once
#include "core/passes/pass.h"

namespace espalier::passes {
/// Ops that read constants alone become constants, computed by their reference function in double.
///
/// Guarantees: no result over 4096 elements is folded, so that text stays small.
Graph fold_constants(const Graph& graph, const Context& context);
}  // namespace espalier::passes
