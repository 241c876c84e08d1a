#pragma once
// Optimizers: what they keep for a tensor, and their step as ops.

#include <array>
#include <span>
#include <string>
#include <vector>

#include "core/ir/builder.h"
#include "core/train/recipe.h"

namespace espalier::train {

/// State that an optimizer keeps for one tensor; zero before the first step.
struct Slot {
  std::string name;  // "m", "v"
  TensorType type;
};

/// The slots for a tensor of `shape`, in the order of `append_step`.
std::vector<Slot> slots_of(const OptimizerSpec& spec, const Shape& shape);

/// Appends one step of one tensor: `weight`, `gradient` f32 of one shape, `slots` as slots_of, `hyper` f32[4] of `hyper_of`.
/// Returns the new weight and slots, which lie where the old ones were.
std::vector<Value> append_step(Builder& b, const OptimizerSpec& spec, Value weight, Value gradient, std::span<const Value> slots,
                               Value hyper);

/// What changes from step to step. `t` counts from 1; `gradient_scale` is clipping over accumulation.
std::array<float, 4> hyper_of(const OptimizerSpec& spec, double lr, double gradient_scale, int64_t t);

/// The learning rate of step `t` (from 0) of `planned`: of the run, or of the stage where the schedule is for each.
///
/// Formula: warm-up is linear, the first step takes lr / warmup; cosine: from lr down to lr · final_share over the steps after
/// warm-up, as transformers' get_cosine_schedule_with_warmup.
double learning_rate(const OptimizerSpec& spec, const LrSchedule& schedule, int64_t t, int64_t planned);

/// The decay of an average at its update `t` (from 1): 0 at the first, which makes it the weights of then, and
/// min(decay, t / (9 + t)) at the others, so that the first averages are not of the initial weights.
/// Source: EMAModel.get_decay of diffusers 0.42, whose (1 + step) / (10 + step) has step = t - 1.
double ema_decay(double decay, int64_t t);

}  // namespace espalier::train
