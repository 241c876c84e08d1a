#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
// Both operands of one dtype; shapes broadcast as in NumPy (aligned at the last dimension).
Value add(Builder& b, Value a, Value c);
Value sub(Builder& b, Value a, Value c);
Value mul(Builder& b, Value a, Value c);
Value div(Builder& b, Value a, Value c);
Value maximum(Builder& b, Value a, Value c);
}  // namespace espalier::ops
