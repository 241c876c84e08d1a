#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
// Over `axes` (negative counts from the end; empty: all). Reduced dimensions are dropped, or kept as 1.
Value reduce_sum(Builder& b, Value x, std::vector<int64_t> axes, bool keep_dims = false);
Value reduce_mean(Builder& b, Value x, std::vector<int64_t> axes, bool keep_dims = false);
Value reduce_max(Builder& b, Value x, std::vector<int64_t> axes, bool keep_dims = false);
}  // namespace espalier::ops
