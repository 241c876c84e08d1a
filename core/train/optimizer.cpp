#include "core/train/optimizer.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/ops/adamw.h"

namespace espalier::train {

std::vector<Slot> slots_of(const OptimizerSpec& spec, const Shape& shape) {
  if (spec.use == "adamw") return {{"m", f32(shape)}, {"v", f32(shape)}};
  internal_error("an optimizer without slots: " + spec.use);
}

std::vector<Value> append_step(Builder& b, const OptimizerSpec& spec, Value weight, Value gradient, std::span<const Value> slots,
                               Value hyper) {
  if (spec.use == "adamw") {
    const ops::AdamWState now =
        ops::adamw(b, {weight, slots[0], slots[1]}, gradient, hyper, {spec.betas[0], spec.betas[1], spec.eps, spec.weight_decay});
    return {now.p, now.m, now.v};
  }
  internal_error("an optimizer without a step: " + spec.use);
}

std::array<float, 4> hyper_of(const OptimizerSpec& spec, double lr, double gradient_scale, int64_t t) {
  const auto step = static_cast<double>(t);
  std::array<double, 4> hyper{lr, gradient_scale, 0, 0};
  hyper[2] = 1 - std::pow(spec.betas[0], step);
  hyper[3] = 1 - std::pow(spec.betas[1], step);
  return {static_cast<float>(hyper[0]), static_cast<float>(hyper[1]), static_cast<float>(hyper[2]), static_cast<float>(hyper[3])};
}

double learning_rate(const OptimizerSpec& spec, const LrSchedule& schedule, int64_t t, int64_t planned) {
  if (t < schedule.warmup) return spec.lr * static_cast<double>(t + 1) / static_cast<double>(schedule.warmup);
  if (schedule.use == "constant") return spec.lr;
  const auto length = static_cast<double>(std::max<int64_t>(planned - schedule.warmup, 1));
  const double done = std::min(1.0, static_cast<double>(t - schedule.warmup) / length);
  const double share = schedule.final_share + (1 - schedule.final_share) * (1 + std::cos(std::acos(-1.0) * done)) / 2;
  return spec.lr * share;
}

double ema_decay(double decay, int64_t t) {
  return std::min(decay, (1.0 + static_cast<double>(t)) / (10.0 + static_cast<double>(t)));
}

}  // namespace espalier::train
