// layer_norm over the last dimension. The variance is the biased one, in two passes.

#include "core/ops/layer_norm.h"

#include <cmath>

#include "core/ops/norm_grad.h"
#include "core/ops/op_common.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  need_rank_at_least(call, 0, 1);
  const int64_t channels = call.inputs[0].shape.back();
  need_shape(call, 1, {channels}, "one value per channel");
  need_shape(call, 2, {channels}, "one value per channel");
  need_eps(call);
  return {call.inputs[0]};
}

Cost cost(const OpCall& call) { return streaming_cost(call, 8); }

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const int64_t width = call.inputs[0].shape.back();
  const double eps = call.attrs.f("eps");
  const double *data = in[0].data.data(), *weight = in[1].data.data(), *bias = in[2].data.data();
  int64_t row_known = -1;
  double mean = 0, scale = 0;
  out[0].fill([&](int64_t i) {
    const int64_t row = i / width, c = i % width;
    if (row != row_known) {
      const double* x = data + row * width;
      double sum = 0, squares = 0;
      for (int64_t k = 0; k < width; ++k) sum += x[k];
      mean = sum / static_cast<double>(width);
      for (int64_t k = 0; k < width; ++k) squares += (x[k] - mean) * (x[k] - mean);
      scale = 1.0 / std::sqrt(squares / static_cast<double>(width) + eps);
      row_known = row;
    }
    return (data[i] - mean) * scale * weight[c] + bias[c];
  });
}

std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) {
  return layer_norm_grads(b, d, primal.inputs[0], primal.inputs[1], primal.call.attrs.f("eps"));
}

Sample sample(const Shape& x, double eps) {
  return {.inputs = {f32(x), f32({x.back()}), f32({x.back()})}, .attrs = {{"eps", eps}}};
}

std::vector<Sample> samples() {
  return {sample({2, 3, 7}, 1e-5), sample({5}, 1e-5), sample({3, 1}, 1e-5), sample({2, 77, 64}, 1e-5), sample({130, 320}, 1e-3)};
}

}  // namespace

const OpDef layer_norm_def{.name = "layer_norm",
                           .summary = "Normalisation over the last dimension, then scale and shift.",
                           .formula =
                               "y = (x - mean) / √(var + eps) · weight[c] + bias[c], var biased; "
                               "matches torch.nn.functional.layer_norm",
                           .inputs = std::vector<OperandSpec>{{"x", "…,C"}, {"weight", "C"}, {"bias", "C"}},
                           .attrs = std::vector<AttrSpec>{{"eps", 1e-5, "added to the variance"}},
                           .infer = infer,
                           .decompose = Primitive{},
                           .vjp = vjp,
                           .cost = cost,
                           .reference = reference,
                           .samples = samples};

Value layer_norm(Builder& b, Value x, Value weight, Value bias, double eps) {
  return b.op(layer_norm_def, {x, weight, bias}, {{"eps", eps}});
}

}  // namespace espalier::ops
