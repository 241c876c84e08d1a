#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
/// exp(x - max) / Σ exp(x - max) over the last dimension.
Value softmax(Builder& b, Value x);
}  // namespace espalier::ops
