#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
/// x[…,K] · weight[O,K]ᵀ + bias[O] where present → […,O]. A weight of rank 4, [O,K,1,1], is read as [O,K]
/// (the 1x1 convolutions of older checkpoints, in NHWC).
Value linear(Builder& b, Value x, Value weight, Value bias = {});
/// linear(x) + residual, residual of the result's shape. Composite.
Value linear_add(Builder& b, Value x, Value weight, Value bias, Value residual);
/// geglu(linear(x)): weight[2K',K] → […,K']. Composite.
Value linear_geglu(Builder& b, Value x, Value weight, Value bias);
}  // namespace espalier::ops
