#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {

struct AdamW {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 1e-2;
};

/// A tensor with its gradient and moments, all f32 of one shape, before and after a step. `hyper` is f32[4]: learning rate,
/// gradient scale, 1 - β₁^t, 1 - β₂^t.
struct AdamWState {
  Value p, m, v;
};
AdamWState adamw(Builder& b, const AdamWState& state, Value gradient, Value hyper, const AdamW& options);

}  // namespace espalier::ops
