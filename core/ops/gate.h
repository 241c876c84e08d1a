#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
/// A unit gate: x + g (y - x) with g = gates[index], x the unit's input, y its output, gates f32[U].
/// A backend may skip the calls that make y while g is zero.
Value gate(Builder& b, Value x, Value y, Value gates, int64_t index);
}  // namespace espalier::ops
