#pragma once
// NumPy broadcasting: the shape of two operands together, and where an element of the result reads an operand.

#include <cstdint>
#include <optional>
#include <vector>

#include "core/ir/shape.h"

namespace espalier::ops {

/// The common shape of `a` and `c`, aligned at the last dimension; nullopt when an extent differs and neither is 1.
std::optional<Shape> broadcast_shape(const Shape& a, const Shape& c);

/// Maps flat indices of a result to flat indices of an operand that is broadcast to it.
class BroadcastIndex {
 public:
  BroadcastIndex(const Shape& operand, const Shape& result);
  int64_t operator()(int64_t flat) const {
    if (same_) return flat;
    if (trailing_ > 0) return flat % trailing_;
    int64_t at = 0;
    for (size_t i = extents_.size(); i-- > 0; flat /= extents_[i]) at += (flat % extents_[i]) * strides_[i];
    return at;
  }

 private:
  bool same_ = false;
  int64_t trailing_ = 0;  // elements of an operand whose shape is the end of the result's; 0: the general case
  std::vector<int64_t> extents_, strides_;
};

}  // namespace espalier::ops
