// group_norm, and group_norm followed by silu. The variance is the biased one, in two passes: E[x²] - E[x]² would lose
// the digits of inputs whose mean is large.

#include "core/ops/group_norm.h"

#include <cmath>

#include "core/ops/activation.h"
#include "core/ops/norm_grad.h"
#include "core/ops/op_common.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  need_rank_at_least(call, 0, 2);
  const int64_t channels = call.inputs[0].shape.back(), groups = call.attrs.i("groups");
  if (groups < 1) refuse(call, "groups is " + std::to_string(groups) + ", must be at least 1");
  if (channels % groups != 0)
    refuse(call, "x has " + std::to_string(channels) + " channels, which " + std::to_string(groups) + " groups do not divide");
  need_shape(call, 1, {channels}, "one value per channel");
  need_shape(call, 2, {channels}, "one value per channel");
  need_eps(call);
  return {call.inputs[0]};
}

template <int kFlops>
Cost cost(const OpCall& call) {
  return streaming_cost(call, kFlops);
}

struct Statistics {
  bool known = false;
  double mean = 0, scale = 0;
};

Statistics statistics(const double* image, int64_t positions, int64_t channels, int64_t width, double eps) {
  double sum = 0, squares = 0;
  for (int64_t p = 0; p < positions; ++p)
    for (int64_t c = 0; c < width; ++c) sum += image[p * channels + c];
  const double count = static_cast<double>(positions * width), mean = sum / count;
  for (int64_t p = 0; p < positions; ++p)
    for (int64_t c = 0; c < width; ++c) squares += (image[p * channels + c] - mean) * (image[p * channels + c] - mean);
  return {true, mean, 1.0 / std::sqrt(squares / count + eps)};
}

double identity_of(double y) { return y; }
double silu_of(double y) { return y / (1.0 + std::exp(-y)); }

template <double (*F)(double)>
void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const Shape& x = call.inputs[0].shape;
  const int64_t channels = x.back(), groups = call.attrs.i("groups"), width = channels / groups;
  const int64_t positions = rows_of(x) / x[0], image = positions * channels;
  const double eps = call.attrs.f("eps");
  const double *data = in[0].data.data(), *weight = in[1].data.data(), *bias = in[2].data.data();
  std::vector<Statistics> known(static_cast<size_t>(x[0] * groups));
  out[0].fill([&](int64_t i) {
    const int64_t n = i / image, c = i % channels, g = c / width;
    Statistics& s = known[static_cast<size_t>(n * groups + g)];
    if (!s.known) s = statistics(data + n * image + g * width, positions, channels, width, eps);
    return F((data[i] - s.mean) * s.scale * weight[c] + bias[c]);
  });
}

std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) {
  return group_norm_grads(b, d, primal.inputs[0], primal.inputs[1], primal.call.attrs.i("groups"), primal.call.attrs.f("eps"));
}

Value decompose_silu(Builder& b, const OpCall& call, std::span<const Value> in) {
  return silu(b, group_norm(b, in[0], in[1], in[2], call.attrs.i("groups"), call.attrs.f("eps")));
}

Sample sample(const Shape& x, int64_t groups, double eps) {
  return {.inputs = {f32(x), f32({x.back()}), f32({x.back()})}, .attrs = {{"groups", groups}, {"eps", eps}}};
}

std::vector<Sample> samples() {
  return {sample({2, 3, 5, 12}, 4, 1e-5),  sample({1, 1, 1, 4}, 2, 1e-6),      sample({3, 7, 6}, 6, 1e-5),
          sample({2, 8, 8, 32}, 32, 1e-5), sample({2, 5, 3, 64}, 32, 1e-6),    sample({1, 32, 32, 64}, 32, 1e-5),
          sample({2, 9, 7, 96}, 32, 1e-3), sample({1, 16, 16, 320}, 32, 1e-5), sample({2, 6}, 1, 1e-5)};
}

const std::vector<OperandSpec> kOperands{{"x", "N,…,C"}, {"weight", "C"}, {"bias", "C"}};
const std::vector<AttrSpec> kAttrs{{"groups", int64_t{32}, "number of channel groups, divides C", true},
                                   {"eps", 1e-5, "added to the variance"}};

}  // namespace

const OpDef group_norm_def{.name = "group_norm",
                           .summary = "Normalisation over all positions and the channels of each group, then scale and shift.",
                           .formula =
                               "y = (x - mean) / √(var + eps) · weight[c] + bias[c], var biased; "
                               "matches torch.nn.functional.group_norm in NHWC",
                           .inputs = kOperands,
                           .attrs = kAttrs,
                           .infer = infer,
                           .decompose = Primitive{},
                           .vjp = vjp,
                           .cost = cost<8>,
                           .reference = reference<identity_of>,
                           .samples = samples};

const OpDef group_norm_silu_def{.name = "group_norm_silu",
                                .summary = "group_norm, then silu.",
                                .formula = "y = silu(group_norm(x, weight, bias))",
                                .inputs = kOperands,
                                .attrs = kAttrs,
                                .infer = infer,
                                .decompose = DecomposeFn(decompose_silu),
                                .vjp = ThroughParts{},
                                .cost = cost<13>,
                                .reference = reference<silu_of>,
                                .samples = samples};

Value group_norm(Builder& b, Value x, Value weight, Value bias, int64_t groups, double eps) {
  return b.op(group_norm_def, {x, weight, bias}, {{"groups", groups}, {"eps", eps}});
}
Value group_norm_silu(Builder& b, Value x, Value weight, Value bias, int64_t groups, double eps) {
  return b.op(group_norm_silu_def, {x, weight, bias}, {{"groups", groups}, {"eps", eps}});
}

}  // namespace espalier::ops
