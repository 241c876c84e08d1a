#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
/// Cotangents of x, weight and bias of group_norm(x, weight, bias) for the cotangent d of its result.
std::vector<Value> group_norm_grads(Builder& b, Value d, Value x, Value weight, int64_t groups, double eps);
/// The same of layer_norm.
std::vector<Value> layer_norm_grads(Builder& b, Value d, Value x, Value weight, double eps);
}  // namespace espalier::ops
