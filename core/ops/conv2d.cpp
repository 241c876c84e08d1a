// conv2d: cross-correlation over NHWC images with the files' OIHW weights. The reference repacks one output channel's
// filter at its first use, so that every inner loop runs over contiguous channels and sampling packs little.

#include "core/ops/conv2d.h"

#include "core/ops/conv2d_geometry.h"
#include "core/ops/conv2d_grad.h"
#include "core/ops/op_common.h"
#include "core/ops/reduce.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  need_rank(call, 0, 4);
  need_rank(call, 1, 4);
  const Shape &x = call.inputs[0].shape, &weight = call.inputs[1].shape;
  if (weight[1] != x[3])
    refuse(call, "weight has " + std::to_string(weight[1]) + " input channels, x has " + std::to_string(x[3]));
  need_shape(call, 2, {weight[0]}, "one value per output channel");
  return one_result(call, call.inputs[0].dtype, conv2d_shape(call, conv2d_geometry(call, weight), x, weight));
}

Cost cost(const OpCall& call) {
  Cost cost = streaming_cost(call, call.inputs[2].present() ? 1 : 0);
  const Shape result = infer(call)[0].shape;
  const Shape& weight = call.inputs[1].shape;
  cost.flops = 2.0 * static_cast<double>(result.elements()) * static_cast<double>(weight[1] * weight[2] * weight[3]);
  return cost;
}

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const Conv2dGeometry g = conv2d_geometry(call, call.inputs[1].shape);
  const Shape &x = call.inputs[0].shape, &result = out[0].type.shape;
  const int64_t height = x[1], width = x[2], channels = x[3], taps = g.kernel_h * g.kernel_w;
  const double *image = in[0].data.data(), *weight = in[1].data.data(), *bias = in[2].data.empty() ? nullptr : in[2].data.data();
  std::vector<std::vector<double>> packed(static_cast<size_t>(result[3]));  // per output channel: kh,kw,C
  auto filter = [&](int64_t o) {
    std::vector<double>& own = packed[static_cast<size_t>(o)];
    if (own.empty()) {
      own.resize(static_cast<size_t>(taps * channels));
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t t = 0; t < taps; ++t) own[static_cast<size_t>(t * channels + c)] = weight[(o * channels + c) * taps + t];
    }
    return own.data();
  };
  out[0].fill([&](int64_t index) {
    const int64_t o = index % result[3], pixel = index / result[3];
    const int64_t left = pixel % result[2] * g.stride - g.left, top = pixel / result[2] % result[1] * g.stride - g.top;
    const double* plane = image + pixel / (result[1] * result[2]) * height * width * channels;
    const double* own = filter(o);
    double sum = bias == nullptr ? 0 : bias[o];
    for (int64_t ky = 0; ky < g.kernel_h; ++ky) {
      const int64_t row = top + ky;
      if (row < 0 || row >= height) continue;
      for (int64_t kx = 0; kx < g.kernel_w; ++kx) {
        const int64_t column = left + kx;
        if (column < 0 || column >= width) continue;
        sum += dot(plane + (row * width + column) * channels, own + (ky * g.kernel_w + kx) * channels, channels);
      }
    }
    return sum;
  });
}

std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) {
  const Conv2dAttrs attrs = conv2d_attrs(primal.call);
  const Value d_x = conv2d_grad_input(b, d, primal.inputs[1], attrs, primal.call.inputs[0].shape);
  const Value d_weight = conv2d_grad_weight(b, primal.inputs[0], d, attrs, primal.call.inputs[1].shape);
  const Value d_bias = primal.inputs[2].present() ? reduce_sum(b, d, {0, 1, 2}) : Value{};
  return {d_x, d_weight, d_bias};
}

Sample sample(const Shape& x, const Shape& weight, bool bias, int64_t stride, std::vector<int64_t> padding) {
  Sample made{.inputs = {f32(x), f32(weight)}, .attrs = {{"stride", stride}, {"padding", std::move(padding)}}};
  made.fills = {Fill::kNormal, Fill::kSmall};
  if (bias) made.inputs.push_back(f32({weight[0]}));
  return made;
}

std::vector<Sample> samples() {
  return {sample({2, 5, 7, 3}, {4, 3, 3, 3}, true, 1, {1, 1, 1, 1}),
          sample({1, 8, 8, 4}, {6, 4, 3, 3}, false, 2, {1, 1, 1, 1}),
          sample({1, 8, 8, 4}, {6, 4, 3, 3}, true, 2, {0, 0, 1, 1}),  // diffusers' asymmetric down-sampler
          sample({2, 6, 5, 8}, {5, 8, 1, 1}, true, 1, {0, 0, 0, 0}),
          sample({1, 1, 1, 5}, {3, 5, 3, 3}, true, 1, {1, 1, 1, 1}),
          sample({1, 1, 1, 1}, {1, 1, 1, 1}, false, 1, {0, 0, 0, 0}),
          sample({1, 9, 6, 3}, {4, 3, 5, 2}, true, 3, {2, 0, 1, 1}),
          sample({3, 4, 9, 9}, {7, 9, 3, 3}, true, 2, {1, 1, 1, 1}),
          sample({1, 64, 64, 4}, {32, 4, 3, 3}, true, 1, {1, 1, 1, 1}),
          sample({1, 32, 32, 32}, {48, 32, 3, 3}, true, 1, {1, 1, 1, 1}),
          sample({2, 17, 13, 64}, {32, 64, 3, 3}, true, 1, {1, 1, 1, 1}),
          sample({1, 32, 32, 32}, {32, 32, 3, 3}, false, 2, {1, 1, 1, 1}),
          sample({2, 16, 16, 96}, {64, 96, 1, 1}, true, 1, {0, 0, 0, 0}),
          sample({1, 32, 32, 32}, {4, 32, 3, 3}, true, 1, {1, 1, 1, 1})};
}

}  // namespace

const OpDef conv2d_def{
    .name = "conv2d",
    .summary = "Two-dimensional cross-correlation of NHWC images with zero padding.",
    .formula =
        "y[n,i,j,o] = bias[o] + Σ x[n, i·stride + u - top, j·stride + v - left, c] · weight[o,c,u,v]; "
        "matches torch.nn.functional.conv2d in NHWC",
    .inputs = std::vector<OperandSpec>{{"x", "N,H,W,C"}, {"weight", "O,C,kh,kw"}, {"bias", "O", true}},
    .attrs = std::vector<AttrSpec>{{"stride", int64_t{1}, "step of the filter in pixels, both ways"},
                                   {"padding", std::vector<int64_t>{0, 0, 0, 0}, "zero pixels at top, left, bottom, right"}},
    .infer = infer,
    .decompose = Primitive{},
    .vjp = vjp,
    .cost = cost,
    .reference = reference,
    .samples = samples};

Value conv2d(Builder& b, Value x, Value weight, Value bias, const Conv2dAttrs& attrs) {
  return b.op(conv2d_def, {x, weight, bias},
              {{"stride", attrs.stride}, {"padding", std::vector<int64_t>(attrs.padding.begin(), attrs.padding.end())}});
}

}  // namespace espalier::ops
