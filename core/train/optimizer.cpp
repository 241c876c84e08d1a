#include "core/train/optimizer.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/ops/adafactor.h"
#include "core/ops/adamw.h"
#include "core/ops/adamw8bit.h"

namespace espalier::train {
namespace {

/// Below this, bytes instead of floats save nothing worth the rounding: norms and biases, where it hurts most.
constexpr int64_t kLeastOf8bit = 4096;

enum class Rule { kAdamW, kAdamW8bit, kAdafactor, kAdafactorVector };

/// The step that a tensor of `shape` takes.
Rule rule_of(const OptimizerSpec& spec, const Shape& shape) {
  if (spec.use == "adamw") return Rule::kAdamW;
  if (spec.use == "adamw8bit") return shape.elements() < kLeastOf8bit ? Rule::kAdamW : Rule::kAdamW8bit;
  if (spec.use == "adafactor") return shape.rank() < 2 ? Rule::kAdafactorVector : Rule::kAdafactor;
  internal_error("an optimizer without a rule: " + spec.use);
}

}  // namespace

std::vector<Slot> slots_of(const OptimizerSpec& spec, const Shape& shape) {
  switch (rule_of(spec, shape)) {
    case Rule::kAdamW:
      return {{"m", f32(shape)}, {"v", f32(shape)}};
    case Rule::kAdamW8bit: {
      const TensorType scales = f32({ops::code_blocks(shape.elements())});
      return {{"m", {DType::kU8, shape}}, {"v", {DType::kU8, shape}}, {"m_scale", scales}, {"v_scale", scales}};
    }
    case Rule::kAdafactor:
      return {{"row", f32({shape[0]})}, {"column", f32({shape.elements() / shape[0]})}};
    case Rule::kAdafactorVector:
      return {{"v", f32(shape)}};
  }
  internal_error("unknown rule");
}

std::vector<Value> append_step(Builder& b, const OptimizerSpec& spec, Value weight, Value gradient, std::span<const Value> slots,
                               Value hyper) {
  const ops::AdamW adamw{spec.betas[0], spec.betas[1], spec.eps, spec.weight_decay};
  const ops::Adafactor adafactor{spec.eps, spec.min_rms, spec.clip_rms, spec.weight_decay};
  switch (rule_of(spec, b.graph().type(weight).shape)) {
    case Rule::kAdamW: {
      const ops::AdamWState now = ops::adamw(b, {weight, slots[0], slots[1]}, gradient, hyper, adamw);
      return {now.p, now.m, now.v};
    }
    case Rule::kAdamW8bit: {
      const ops::AdamW8bitState now = ops::adamw8bit(b, {weight, slots[0], slots[1], slots[2], slots[3]}, gradient, hyper, adamw);
      return {now.p, now.m, now.v, now.m_scale, now.v_scale};
    }
    case Rule::kAdafactor: {
      const ops::AdafactorState now = ops::adafactor(b, {weight, slots[0], slots[1]}, gradient, hyper, adafactor);
      return {now.p, now.row, now.column};
    }
    case Rule::kAdafactorVector: {
      const ops::AdafactorVectorState now = ops::adafactor_vector(b, {weight, slots[0]}, gradient, hyper, adafactor);
      return {now.p, now.v};
    }
  }
  internal_error("unknown rule");
}

std::array<float, 4> hyper_of(const OptimizerSpec& spec, double lr, double gradient_scale, int64_t t) {
  const auto step = static_cast<double>(t);
  std::array<double, 4> hyper{lr, gradient_scale, 0, 0};
  if (spec.use == "adafactor") {
    hyper[2] = std::pow(step, spec.beta2_decay);
    hyper[3] = std::min(lr, 1 / std::sqrt(step));
  } else {
    hyper[2] = 1 - std::pow(spec.betas[0], step);
    hyper[3] = 1 - std::pow(spec.betas[1], step);
  }
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
  const double before = static_cast<double>(t) - 1;  // updates that it holds already
  return before <= 0 ? 0 : std::min(decay, (1 + before) / (10 + before));
}

}  // namespace espalier::train
