// adamw8bit: AdamW whose moments are kept as one byte an element. Its arithmetic is f32, each operation rounded in the order
// written, so that every backend that keeps the order finds the same codes.

#include "core/ops/adamw8bit.h"

#include <algorithm>
#include <cmath>

#include "core/ops/optimizer_common.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

enum Operand : size_t { kP, kG, kM, kV, kMScale, kVScale, kHyper };

std::vector<TensorType> infer(const OpCall& call) {
  for (size_t i : {kP, kG, kMScale, kVScale, kHyper})
    if (call.inputs[i].dtype != DType::kF32) refuse(call, operand(call, i) + "; it must be f32");
  for (size_t i : {kM, kV})
    if (call.inputs[i].dtype != DType::kU8) refuse(call, operand(call, i) + "; codes are u8");
  const Shape& shape = call.inputs[kP].shape;
  for (size_t i : {kG, kM, kV}) need_shape(call, i, shape, "the shape of p");
  for (size_t i : {kMScale, kVScale}) need_shape(call, i, {code_blocks(shape.elements())}, "one scale for 256 elements");
  need_hyper(call, kHyper);
  need_in(call, "beta1", 0, 1);
  need_in(call, "beta2", 0, 1);
  need_eps(call);
  return {call.inputs[kP], call.inputs[kM], call.inputs[kV], call.inputs[kMScale], call.inputs[kVScale]};
}

Cost cost(const OpCall& call) { return streaming_cost(call, 5); }

/// The code of the value nearest to x; of two as near, the smaller.
uint8_t code_of(const std::vector<float>& map, float x) {
  const auto above = std::lower_bound(map.begin(), map.end(), x);
  if (above == map.begin()) return 0;
  if (above == map.end()) return 255;
  const float middle = (above[-1] + above[0]) * 0.5f;
  return static_cast<uint8_t>(above - map.begin() - (x > middle ? 0 : 1));
}

float value_of(const std::vector<float>& map, float code) { return map[static_cast<size_t>(std::clamp(code, 0.0f, 255.0f))]; }

/// What a step leaves, whole.
struct After {
  std::vector<float> p, m_scale, v_scale;
  std::vector<uint8_t> m, v;
};

After after(const OpCall& call, std::span<const RefTensor> in) {
  const auto attr = [&](const char* name) { return static_cast<float>(call.attrs.f(name)); };
  const auto at = [&](size_t operand, size_t i) { return static_cast<float>(in[operand].data[i]); };
  const std::vector<float>&signed_map = dynamic_map(true), &unsigned_map = dynamic_map(false);
  const float beta1 = attr("beta1"), beta2 = attr("beta2"), eps = attr("eps");
  const auto rest1 = static_cast<float>(1 - call.attrs.f("beta1")), rest2 = static_cast<float>(1 - call.attrs.f("beta2"));
  const float lr = at(kHyper, kLr), scale = at(kHyper, kGradScale), step = lr / at(kHyper, kFirst),
              root = 1 / std::sqrt(at(kHyper, kSecond));
  const auto keep = static_cast<float>(1 - static_cast<double>(lr) * call.attrs.f("weight_decay"));
  const size_t count = in[kP].data.size(), blocks = static_cast<size_t>(code_blocks(static_cast<int64_t>(count)));
  After now{std::vector<float>(count), std::vector<float>(blocks), std::vector<float>(blocks), std::vector<uint8_t>(count),
            std::vector<uint8_t>(count)};
  std::vector<float> m(count), v(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t block = i / kCodeBlock;
    const float g = at(kG, i) * scale;
    m[i] = beta1 * (value_of(signed_map, at(kM, i)) * at(kMScale, block)) + rest1 * g;
    v[i] = beta2 * (value_of(unsigned_map, at(kV, i)) * at(kVScale, block)) + rest2 * (g * g);
    now.p[i] = at(kP, i) * keep - step * m[i] / (std::sqrt(v[i]) * root + eps);
    now.m_scale[block] = std::max(now.m_scale[block], std::abs(m[i]));
    now.v_scale[block] = std::max(now.v_scale[block], v[i]);
  }
  for (size_t i = 0; i < count; ++i) {
    const float m_scale = now.m_scale[i / kCodeBlock], v_scale = now.v_scale[i / kCodeBlock];
    now.m[i] = code_of(signed_map, m_scale > 0 ? m[i] / m_scale : 0);
    now.v[i] = code_of(unsigned_map, v_scale > 0 ? v[i] / v_scale : 0);
    if (v[i] > 0) now.v[i] = std::max<uint8_t>(now.v[i], 1);
  }
  return now;
}

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const After now = after(call, in);
  const auto keep = [&](size_t r, const auto& values) {
    out[r].fill([&](int64_t i) { return static_cast<double>(values[static_cast<size_t>(i)]); });
  };
  keep(0, now.p);
  keep(1, now.m);
  keep(2, now.v);
  keep(3, now.m_scale);
  keep(4, now.v_scale);
}

Sample sample(const Shape& shape, double weight_decay) {
  const Shape blocks{code_blocks(shape.elements())};
  return {
      .inputs = {f32(shape), f32(shape), {DType::kU8, shape}, {DType::kU8, shape}, f32(blocks), f32(blocks), f32({4})},
      .attrs = {{"weight_decay", weight_decay}},
      .fills = {Fill::kNormal, Fill::kNormal, Fill::kNormal, Fill::kNormal, Fill::kPositive, Fill::kPositive, Fill::kPositive}};
}

std::vector<Sample> samples() { return {sample({2, 3, 5}, 1e-2), sample({1}, 0), sample({256}, 0.1), sample({70001}, 0.5)}; }

}  // namespace

const std::vector<float>& dynamic_map(bool with_sign) {
  const auto make = [](bool sign) {
    std::vector<double> values{0, 1};
    for (int decade = 0; decade < 7; ++decade) {
      const int parts = 1 << (sign ? decade : decade + 1);
      for (int k = 0; k < parts; ++k) {
        const double value = (0.1 + 0.9 * (k + 0.5) / parts) * std::pow(10.0, decade - 6);
        values.push_back(value);
        if (sign) values.push_back(-value);
      }
    }
    std::sort(values.begin(), values.end());
    return std::vector<float>(values.begin(), values.end());
  };
  static const std::vector<float> kSigned = make(true), kUnsigned = make(false);
  return with_sign ? kSigned : kUnsigned;
}

const OpDef adamw8bit_def{
    .name = "adamw8bit",
    .summary = "One step of AdamW on one tensor, in place, its moments kept as one byte an element.",
    .formula =
        "adamw on moments map[code] · scale; then scale = max |moment| of each block of 256 elements and "
        "code = the nearest to moment / scale, v > 0 never the code of 0. All in f32, each operation "
        "rounded; the maps are those of dynamic quantisation, arXiv 2110.02861",
    .inputs =
        std::vector<OperandSpec>{
            {"p", "…"}, {"g", "…"}, {"m", "…"}, {"v", "…"}, {"m_scale", "B"}, {"v_scale", "B"}, {"hyper", "4"}},
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
    .aliases = {{0, kP}, {1, kM}, {2, kV}, {3, kMScale}, {4, kVScale}}};

AdamW8bitState adamw8bit(Builder& b, const AdamW8bitState& state, Value gradient, Value hyper, const AdamW& options) {
  const std::vector<Value> now =
      b.ops(adamw8bit_def, {state.p, gradient, state.m, state.v, state.m_scale, state.v_scale, hyper},
            {{"beta1", options.beta1}, {"beta2", options.beta2}, {"eps", options.eps}, {"weight_decay", options.weight_decay}});
  return {now[0], now[1], now[2], now[3], now[4]};
}

}  // namespace espalier::ops
