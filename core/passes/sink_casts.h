#pragma once
#include "core/passes/pass.h"

namespace espalier::passes {
/// Puts every cast directly before its first reader, and one of an input or a parameter with up to eight readers before each of
/// them anew: a cast of a weight costs less than the memory that its result takes from the forward pass to the backward pass.
/// Changes no result.
Graph sink_casts(const Graph& graph, const Context& context);
}  // namespace espalier::passes
