#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
/// x[…,2K] → x[…,:K] · gelu(x[…,K:]). Composite. Matches diffusers.models.activations.GEGLU after its projection.
Value geglu(Builder& b, Value x);
}  // namespace espalier::ops
