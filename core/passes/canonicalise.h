#pragma once
#include "core/passes/pass.h"

namespace espalier::passes {
/// One spelling for what can be written in several ways: no identity reshape, permute, cast, slice, concat, broadcast or
/// resize; no chain of reshapes, permutes, slices or exact casts; no `x + 0`, `x - 0`, `x * 1`, `x / 1`, `neg(neg x)`;
/// no gate that is known to be open or shut; no stop_gradient, because gradients are taken before passes run.
///
/// Guarantees: running it twice changes nothing more; results are equal, up to the sign of a zero.
Graph canonicalise(const Graph& graph, const Context& context);
}  // namespace espalier::passes
