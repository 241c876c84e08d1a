#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
/// Row-major order of elements kept: a free view.
Value reshape(Builder& b, Value x, const Shape& shape);
/// result dimension i is x's dimension order[i].
Value permute(Builder& b, Value x, std::vector<int64_t> order);
/// Joined along `axis` (negative counts from the end); all other extents equal.
Value concat(Builder& b, std::vector<Value> parts, int64_t axis);
/// x[begin, end) along `axis`.
Value slice(Builder& b, Value x, int64_t axis, int64_t begin, int64_t end);
/// NumPy broadcast of x to `shape`.
Value broadcast(Builder& b, Value x, const Shape& shape);
}  // namespace espalier::ops
