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

/// One use of a normalisation: y = x̂ · weight[c] + bias[c], x̂ being x, seen as `view`, less its mean and over its standard
/// deviation along `axes`. Statistics of narrow types are taken in f32.
struct Normalisation {
  Value d, x, weight;  // d: the cotangent of y
  double eps;
  Shape view;
  std::vector<int64_t> axes;
};
/// Formula: dx̂ = d · weight; dx = (dx̂ - mean dx̂ - x̂ · mean(dx̂ · x̂)) / √(var + eps).
Value norm_grad_input(Builder& b, const Normalisation& norm);
/// Σ d · x̂ and Σ d over every dimension but the last, as [2,C]; `weight` is not read.
Value norm_grad_affine(Builder& b, const Normalisation& norm);

}  // namespace espalier::ops
