#include "core/passes/dce.h"

#include "core/ir/rewrite.h"
#include "core/ir/walk.h"

namespace espalier::passes {

Graph dce(const Graph& graph, const Context&) { return filtered(graph, needed_nodes(graph)); }

}  // namespace espalier::passes
