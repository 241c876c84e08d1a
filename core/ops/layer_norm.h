#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
/// x[…,C] normalised over its last dimension, then · weight[C] + bias[C].
Value layer_norm(Builder& b, Value x, Value weight, Value bias, double eps);
}  // namespace espalier::ops
