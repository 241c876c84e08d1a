#pragma once
#include "core/passes/pass.h"

namespace espalier::passes {
/// Elementary patterns become composites: group_norm_silu, geglu, linear_geglu, linear_add. Only where nothing else
/// reads a value inside the pattern, the tags of its nodes agree, and `context.accepts` takes the composite.
Graph fuse(const Graph& graph, const Context& context);
}  // namespace espalier::passes
