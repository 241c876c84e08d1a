#pragma once
#include <array>

#include "core/ir/builder.h"

namespace espalier::ops {
struct Conv2dAttrs {
  int64_t stride = 1;
  std::array<int64_t, 4> padding{0, 0, 0, 0};  // top, left, bottom, right, in pixels
};
/// Cross-correlation of x[N,H,W,C] with weight[O,C,kh,kw] (as the files have it), plus bias[O] where present.
Value conv2d(Builder& b, Value x, Value weight, Value bias, const Conv2dAttrs& attrs);
}  // namespace espalier::ops
