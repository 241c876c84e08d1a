#pragma once
#include "core/ops/conv2d.h"

namespace espalier::ops {
/// Cotangent of the input of conv2d(x, weight) for the cotangent d[N,OH,OW,O] of its result; `x` is the input's shape.
Value conv2d_grad_input(Builder& b, Value d, Value weight, const Conv2dAttrs& attrs, const Shape& x);
/// Cotangent of the weight; `weight` is its shape.
Value conv2d_grad_weight(Builder& b, Value x, Value d, const Conv2dAttrs& attrs, const Shape& weight);
}  // namespace espalier::ops
