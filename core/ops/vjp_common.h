#pragma once
// What the gradient rules of this room share. Not for other rooms.

#include <cstdint>
#include <vector>

#include "core/ir/builder.h"

namespace espalier::ops {

/// A tensor of `type` that holds `number` everywhere; one element of storage.
Value filled(Builder& b, const TensorType& type, double number);
/// x · number and x + number, in x's dtype.
Value scaled(Builder& b, Value x, double number);
Value shifted(Builder& b, Value x, double number);
/// Undoes broadcasting: sums the dimensions of `x` that `shape` has not or has with extent 1.
Value sum_to(Builder& b, Value x, const Shape& shape);

/// Cotangents of x, weight and bias where y = x̂ · weight[c] + bias[c] and x̂ is x, seen as `view`, less its mean and over
/// its standard deviation along `axes`.
///
/// Formula: dx̂ = d · weight; dx = (dx̂ - mean dx̂ - x̂ · mean(dx̂ · x̂)) / √(var + eps).
std::vector<Value> norm_vjp(Builder& b, const Primal& primal, Value d, const Shape& view, const std::vector<int64_t>& axes);

}  // namespace espalier::ops
