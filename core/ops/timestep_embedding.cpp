// timestep_embedding: sines and cosines of the timestep at geometric frequencies. Frequencies and angles are rounded to
// f32 where PyTorch rounds them: at timestep 999 an exact angle differs from PyTorch's by up to 3e-5 radians.

#include "core/ops/timestep_embedding.h"

#include <cmath>

#include "core/ops/op_common.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  need_rank(call, 0, 1);
  const int64_t dim = call.attrs.i("dim"), half = dim / 2;
  if (dim < 2) refuse(call, "dim is " + std::to_string(dim) + ", must be at least 2");
  if (static_cast<double>(half) == call.attrs.f("freq_shift"))
    refuse(call, "freq_shift equals half of dim, so that no frequency is finite");
  if (!(call.attrs.f("max_period") > 0)) refuse(call, "max_period must be positive");
  return one_result(call, DType::kF32, {call.inputs[0].shape[0], dim});
}

Cost cost(const OpCall& call) { return streaming_cost(call, 4); }

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const int64_t dim = call.attrs.i("dim"), half = dim / 2;
  const auto slope = static_cast<float>(-std::log(call.attrs.f("max_period")));
  const auto divisor = static_cast<float>(static_cast<double>(half) - call.attrs.f("freq_shift"));
  const bool cosine_first = call.attrs.b("flip_sin_to_cos");
  out[0].fill([&](int64_t i) {
    const int64_t k = i % dim;
    if (k >= 2 * half) return 0.0;
    const float exponent = slope * static_cast<float>(k % half) / divisor;
    const auto frequency = static_cast<float>(std::exp(static_cast<double>(exponent)));
    const float angle = static_cast<float>(in[0].data[static_cast<size_t>(i / dim)]) * frequency;
    return (k < half) == cosine_first ? std::cos(static_cast<double>(angle)) : std::sin(static_cast<double>(angle));
  });
}

Sample sample(int64_t n, int64_t dim, bool flip, double shift, double max_period) {
  return {.inputs = {f32({n})},
          .attrs = {{"dim", dim}, {"flip_sin_to_cos", flip}, {"freq_shift", shift}, {"max_period", max_period}},
          .fills = {Fill::kTimesteps},
          .tolerance = 1e-4};
}

std::vector<Sample> samples() {
  return {sample(2, 320, true, 0, 10000), sample(12, 256, true, 0, 10000), sample(3, 32, false, 1, 10000),
          sample(1, 7, true, 0, 10000),   sample(2, 4, false, 1, 100),     sample(1, 2, true, 0, 10000)};
}

}  // namespace

const OpDef timestep_embedding_def{
    .name = "timestep_embedding",
    .summary = "Sinusoidal embedding of a timestep (or of a size in pixels).",
    .formula =
        "y = [sin(t f), cos(t f)], f[i] = exp(-ln(max_period) · i / (dim/2 - freq_shift)), f32; odd dim ends in a zero; "
        "matches diffusers.models.embeddings.get_timestep_embedding",
    .inputs = std::vector<OperandSpec>{{"t", "N"}},
    .attrs = std::vector<AttrSpec>{{"dim", int64_t{0}, "width of the result", true},
                                   {"flip_sin_to_cos", false, "cosines come first"},
                                   {"freq_shift", 0.0, "diffusers' downscale_freq_shift"},
                                   {"max_period", 10000.0, "sets the lowest frequency"}},
    .infer = infer,
    .decompose = Primitive{},
    .vjp = NonDifferentiable{"timesteps and sizes are given, nothing trains them"},
    .cost = cost,
    .reference = reference,
    .samples = samples};

Value timestep_embedding(Builder& b, Value t, const TimestepEmbeddingAttrs& attrs) {
  return b.op(timestep_embedding_def, {t},
              {{"dim", attrs.dim},
               {"flip_sin_to_cos", attrs.flip_sin_to_cos},
               {"freq_shift", attrs.freq_shift},
               {"max_period", attrs.max_period}});
}

}  // namespace espalier::ops
