#include "core/ops/broadcasting.h"

#include <algorithm>

#include "core/ops/op_common.h"

namespace espalier::ops {

std::optional<Shape> broadcast_shape(const Shape& a, const Shape& c) {
  const int rank = std::max(a.rank(), c.rank());
  std::vector<int64_t> dims(static_cast<size_t>(rank), 1);
  for (int i = 1; i <= rank; ++i) {
    const int64_t from_a = i <= a.rank() ? a[-i] : 1, from_c = i <= c.rank() ? c[-i] : 1;
    if (from_a != from_c && from_a != 1 && from_c != 1) return std::nullopt;
    dims[static_cast<size_t>(rank - i)] = from_a == 1 ? from_c : from_a;
  }
  return Shape(std::move(dims));
}

BroadcastIndex::BroadcastIndex(const Shape& operand, const Shape& result) : same_(operand == result), extents_(result.dims()) {
  if (same_) return;
  const std::vector<int64_t> own = strides_of(operand);
  strides_.assign(extents_.size(), 0);
  const size_t lead = extents_.size() - own.size();
  bool is_tail = true, ones_only = true;
  for (size_t i = own.size(); i-- > 0;) {
    const int64_t extent = operand.dims()[i];
    if (extent != 1) strides_[lead + i] = own[i];
    // A tail is a run of equal extents at the end, with nothing but ones in front of it.
    if (extent != extents_[lead + i]) ones_only = false;
    if (!ones_only && extent != 1) is_tail = false;
  }
  if (is_tail) trailing_ = operand.elements();
}

}  // namespace espalier::ops
