// adamw: one optimizer step of one tensor. Decay comes first and eps stands outside the root, as in PyTorch; what depends on
// the step number is an operand, so that one executable serves every step.

#include "core/ops/adamw.h"

#include <array>
#include <cmath>

#include "core/ops/optimizer_common.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  for (size_t i : {1, 2, 3}) need_shape(call, i, call.inputs[0].shape, "the shape of p");
  need_hyper(call, 4);
  need_in(call, "beta1", 0, 1);
  need_in(call, "beta2", 0, 1);
  need_eps(call);
  return {call.inputs[0], call.inputs[2], call.inputs[3]};
}

Cost cost(const OpCall& call) { return streaming_cost(call, 5); }

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const double beta1 = call.attrs.f("beta1"), beta2 = call.attrs.f("beta2"), eps = call.attrs.f("eps"),
               weight_decay = call.attrs.f("weight_decay");
  const double *hyper = in[4].data.data(), lr = hyper[kLr];
  const auto element = [&](int64_t i) {
    const auto at = static_cast<size_t>(i);
    const double g = in[1].data[at] * hyper[kGradScale];
    const double m = beta1 * in[2].data[at] + (1 - beta1) * g, v = beta2 * in[3].data[at] + (1 - beta2) * g * g;
    const double p = in[0].data[at] * (1 - lr * weight_decay) - lr * (m / hyper[kFirst]) / (std::sqrt(v / hyper[kSecond]) + eps);
    return std::array{p, m, v};
  };
  for (size_t r = 0; r < out.size(); ++r) out[r].fill([&](int64_t i) { return element(i)[r]; });
}

Sample sample(const Shape& shape, double weight_decay) {
  return {.inputs = {f32(shape), f32(shape), f32(shape), f32(shape), f32({4})},
          .attrs = {{"weight_decay", weight_decay}},
          .fills = {Fill::kNormal, Fill::kNormal, Fill::kSmall, Fill::kPositive, Fill::kPositive}};
}

std::vector<Sample> samples() { return {sample({2, 3, 5}, 1e-2), sample({1}, 0), sample({70001}, 0.5)}; }

}  // namespace

const OpDef adamw_def{.name = "adamw",
                      .summary = "One step of AdamW on one tensor, in place.",
                      .formula =
                          "p *= 1 - lr · weight_decay; m = β₁ m + (1-β₁) g; v = β₂ v + (1-β₂) g²; "
                          "p -= lr · (m / (1-β₁^t)) / (√(v / (1-β₂^t)) + eps), g scaled before; matches torch.optim.AdamW",
                      .inputs = std::vector<OperandSpec>{{"p", "…"}, {"g", "…"}, {"m", "…"}, {"v", "…"}, {"hyper", "4"}},
                      .attrs = std::vector<AttrSpec>{{"beta1", 0.9, "how much of the first moment stays"},
                                                     {"beta2", 0.999, "how much of the second moment stays"},
                                                     {"eps", 1e-8, "added to the root of the second moment"},
                                                     {"weight_decay", 1e-2, "share of p that goes, times lr"}},
                      .infer = infer,
                      .decompose = Primitive{},
                      .vjp = NonDifferentiable{"it updates state in place"},
                      .cost = cost,
                      .reference = reference,
                      .samples = samples,
                      .aliases = {{0, 0}, {1, 2}, {2, 3}}};

AdamWState adamw(Builder& b, const AdamWState& state, Value gradient, Value hyper, const AdamW& options) {
  const std::vector<Value> now =
      b.ops(adamw_def, {state.p, gradient, state.m, state.v, hyper},
            {{"beta1", options.beta1}, {"beta2", options.beta2}, {"eps", options.eps}, {"weight_decay", options.weight_decay}});
  return {now[0], now[1], now[2]};
}

}  // namespace espalier::ops
