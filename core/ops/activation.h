#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
Value gelu(Builder& b, Value x);  // x Φ(x), exact (erf)
Value sigmoid(Builder& b, Value x);
Value silu(Builder& b, Value x);  // x σ(x)
Value tanh(Builder& b, Value x);
/// The derivative of gelu at x: Φ(x) + x φ(x).
Value gelu_slope(Builder& b, Value x);
}  // namespace espalier::ops
