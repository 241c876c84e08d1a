#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
/// Sum of the squares of all elements, a scalar.
Value squared_norm(Builder& b, Value x);
}  // namespace espalier::ops
