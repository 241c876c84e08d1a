#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {

struct Adafactor {
  double eps = 1.1920928955078125e-07;  // below which a second moment does not fall: its square
  double min_rms = 1e-3;                // the least root mean square that a tensor counts as having
  double clip_rms = 1;                  // an update's root mean square is at most this, times the step size
  double weight_decay = 0;
};

/// A tensor seen as a matrix [R, C], R its first extent, with the means of its squared gradients by row (f32[R]) and by column
/// (f32[C]). `hyper` is f32[4]: learning rate, gradient scale, t^β₂-decay (the share of the newest moment), min(lr, 1/√t).
struct AdafactorState {
  Value p, row, column;
};
AdafactorState adafactor(Builder& b, const AdafactorState& state, Value gradient, Value hyper, const Adafactor& options);

/// The same of a vector, which keeps its second moment whole.
struct AdafactorVectorState {
  Value p, v;
};
AdafactorVectorState adafactor_vector(Builder& b, const AdafactorVectorState& state, Value gradient, Value hyper,
                                      const Adafactor& options);

}  // namespace espalier::ops
