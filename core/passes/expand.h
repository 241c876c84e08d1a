#pragma once
#include "core/passes/pass.h"

namespace espalier::passes {
/// Composites that `context.accepts` does not take are written out in the ops of their decomposition, until what is left
/// is accepted or primitive.
Graph expand(const Graph& graph, const Context& context);
}  // namespace espalier::passes
