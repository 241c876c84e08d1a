#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
/// Cotangents of q, k and v of attention(q, k, v) for the cotangent d of its result.
std::vector<Value> attention_grads(Builder& b, Value q, Value k, Value v, Value d, int64_t heads);
}  // namespace espalier::ops
