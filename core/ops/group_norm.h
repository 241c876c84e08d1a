#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
/// x[N,…,C] normalised over all positions and the C/groups channels of each group, then · weight[C] + bias[C].
Value group_norm(Builder& b, Value x, Value weight, Value bias, int64_t groups, double eps);
/// silu(group_norm(x)). Composite.
Value group_norm_silu(Builder& b, Value x, Value weight, Value bias, int64_t groups, double eps);
}  // namespace espalier::ops
