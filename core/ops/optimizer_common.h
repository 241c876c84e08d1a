#pragma once
// What the optimizer steps of this room share. Not for other rooms.

#include "core/ops/op_common.h"

namespace espalier::ops {

/// Elements of the operand `hyper` of every optimizer step, set for each step by the trainer.
enum Hyper : size_t {
  kLr = 0,         // learning rate
  kGradScale = 1,  // what gradients are multiplied by: clipping, and the mean over accumulated batches
  kFirst = 2,      // adamw: 1 - β₁^t; adafactor: the share of the newest second moment
  kSecond = 3,     // adamw: 1 - β₂^t; adafactor: min(lr, 1/√t)
  kHypers = 4,
};

/// Operand `i` must be the f32[4] of Hyper.
inline void need_hyper(const OpCall& call, size_t i) {
  need_shape(call, i, {static_cast<int64_t>(kHypers)}, "learning rate, gradient scale and two corrections of the step");
}

/// An attribute that must lie in [low, high).
inline void need_in(const OpCall& call, const char* name, double low, double high) {
  const double value = call.attrs.f(name);
  if (!(value >= low && value < high))
    refuse(call, std::string(name) + " must be at least " + std::to_string(low).substr(0, 3) + " and below " +
                     std::to_string(high).substr(0, 3));
}

}  // namespace espalier::ops
