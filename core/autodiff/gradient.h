#pragma once
// The gradient of a scalar as more nodes of its own graph.

#include <span>
#include <vector>

#include "core/ir/builder.h"
#include "core/ir/graph.h"

namespace espalier::autodiff {

/// Appends the gradient of the scalar `of` with respect to each of `wrt` (values of `graph`), and returns it in their order:
/// of the value's own type, absent where `of` does not depend on the value.
///
/// Backward nodes carry the block path of their forward node and name its result (!grad). No cotangent enters a frozen
/// node. A value that several nodes read gets its cotangents summed from its last reader to its first. What turns out to be
/// unneeded is left to dead-code removal.
/// Errors: VerifyError when `of` is not a floating-point scalar, a `wrt` is not floating point, or an op between the two has
/// no gradient: its reason and block path.
/// Cost: linear in nodes.
std::vector<Value> append_gradient(Graph& graph, Value of, std::span<const Value> wrt);

}  // namespace espalier::autodiff
