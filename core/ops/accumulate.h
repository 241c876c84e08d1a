#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
/// Adds `x` to the state `sum`, in place.
Value accumulate(Builder& b, Value sum, Value x);
}  // namespace espalier::ops
