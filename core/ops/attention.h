#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
/// softmax(q kᵀ / √d) v for every head; q[N,L,h·d], k[N,S,h·d], v[N,S,h·d] → [N,L,h·d]. Heads are consecutive runs
/// of d channels. Composite: reshape, permute, matmul, softmax, matmul.
Value attention(Builder& b, Value q, Value k, Value v, int64_t heads);
}  // namespace espalier::ops
