#pragma once
#include "core/passes/pass.h"

namespace espalier::passes {
/// Every node left has a result that some output depends on. Inputs stay: they are the signature of the graph.
Graph dce(const Graph& graph, const Context& context);
}  // namespace espalier::passes
