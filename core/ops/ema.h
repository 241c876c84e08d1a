#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
/// Moves the state `average` towards `x`, in place; `decay` f32[1] is how much of it stays.
Value ema(Builder& b, Value average, Value x, Value decay);
}  // namespace espalier::ops
