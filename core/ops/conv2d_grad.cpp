// conv2d_grad_input, conv2d_grad_weight: the two products that are left of a convolution when one of its operands and its
// result change places. Each is the gradient of the other two, so the three are closed under differentiation.

#include "core/ops/conv2d_grad.h"

#include "core/ops/conv2d_geometry.h"
#include "core/ops/op_common.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

/// Multiply-adds of the convolution that this is a gradient of: `d` is its result, `weight` its filter.
double conv_flops(const Shape& d, const Shape& weight) {
  return 2.0 * static_cast<double>(d.elements()) * static_cast<double>(weight[1] * weight[2] * weight[3]);
}

/// d must have the shape that conv2d gives x and weight.
void need_result_shape(const OpCall& call, size_t i, const Shape& x, const Shape& weight) {
  if (weight[1] != x[3])
    refuse(call, "weight has " + std::to_string(weight[1]) + " input channels, x has " + std::to_string(x[3]));
  need_shape(call, i, conv2d_shape(call, conv2d_geometry(call, weight), x, weight), "the convolution's result");
}

/// The extents of an image or filter as attributes: 1 to 2^31, so that no sum with a padding overflows.
std::array<int64_t, 2> extents(const OpCall& call, const char* first, const char* second) {
  const std::array<int64_t, 2> e{call.attrs.i(first), call.attrs.i(second)};
  constexpr int64_t kMost = int64_t{1} << 31;
  if (e[0] < 1 || e[1] < 1 || e[0] > kMost || e[1] > kMost)
    refuse(call, std::string(first) + " and " + second + " are " + std::to_string(e[0]) + " and " + std::to_string(e[1]) +
                     ", must be 1 to " + std::to_string(kMost));
  return e;
}

std::vector<int64_t> padding_of(const Conv2dAttrs& attrs) { return {attrs.padding.begin(), attrs.padding.end()}; }

const AttrSpec kStride{"stride", int64_t{1}, "step of the filter in pixels, both ways"};
const AttrSpec kPadding{"padding", std::vector<int64_t>{0, 0, 0, 0}, "zero pixels at top, left, bottom, right"};

namespace of_input {

Shape image(const OpCall& call) {
  const auto [height, width] = extents(call, "height", "width");
  return {call.inputs[0].shape[0], height, width, call.inputs[1].shape[1]};
}

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  need_rank(call, 0, 4);
  need_rank(call, 1, 4);
  const Shape x = image(call);
  need_result_shape(call, 0, x, call.inputs[1].shape);
  return one_result(call, call.inputs[0].dtype, x);
}

Cost cost(const OpCall& call) {
  Cost cost = streaming_cost(call, 0);
  cost.flops = conv_flops(call.inputs[0].shape, call.inputs[1].shape);
  return cost;
}

// An input pixel gathers from every result pixel whose filter covered it.
void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const Shape &d = call.inputs[0].shape, &w = call.inputs[1].shape, &x = out[0].type.shape;
  const Conv2dGeometry g = conv2d_geometry(call, w);
  const int64_t taps = g.kernel_h * g.kernel_w;
  out[0].fill([&](int64_t index) {
    const int64_t c = index % x[3], column = index / x[3] % x[2], row = index / (x[3] * x[2]) % x[1];
    const double* plane = in[0].data.data() + index / (x[3] * x[2] * x[1]) * d[1] * d[2] * d[3];
    double sum = 0;
    for (int64_t u = 0; u < g.kernel_h; ++u) {
      const int64_t y = row + g.top - u;
      if (y < 0 || y % g.stride != 0 || y / g.stride >= d[1]) continue;
      for (int64_t v = 0; v < g.kernel_w; ++v) {
        const int64_t z = column + g.left - v;
        if (z < 0 || z % g.stride != 0 || z / g.stride >= d[2]) continue;
        const double* pixel = plane + (y / g.stride * d[2] + z / g.stride) * d[3];
        const double* weight = in[1].data.data() + c * taps + u * g.kernel_w + v;
        for (int64_t o = 0; o < d[3]; ++o) sum += pixel[o] * weight[o * w[1] * taps];
      }
    }
    return sum;
  });
}

std::vector<Value> vjp(Builder& b, const Primal& primal, Value d_x) {
  const Conv2dAttrs attrs = conv2d_attrs(primal.call);
  const Value d_d = conv2d(b, d_x, primal.inputs[1], {}, attrs);
  return {d_d, conv2d_grad_weight(b, d_x, primal.inputs[0], attrs, primal.call.inputs[1].shape)};
}

Sample sample(const Shape& d, const Shape& weight, int64_t stride, std::vector<int64_t> padding, int64_t height, int64_t width) {
  return {.inputs = {f32(d), f32(weight)},
          .attrs = {{"stride", stride}, {"padding", std::move(padding)}, {"height", height}, {"width", width}},
          .fills = {Fill::kNormal, Fill::kSmall}};
}

std::vector<Sample> samples() {
  return {sample({2, 5, 7, 4}, {4, 3, 3, 3}, 1, {1, 1, 1, 1}, 5, 7),
          sample({1, 4, 4, 6}, {6, 4, 3, 3}, 2, {1, 1, 1, 1}, 8, 8),
          sample({1, 4, 4, 6}, {6, 4, 3, 3}, 2, {1, 1, 1, 1}, 7, 8),
          sample({1, 4, 4, 6}, {6, 4, 3, 3}, 2, {0, 0, 1, 1}, 8, 8),
          sample({2, 6, 5, 5}, {5, 8, 1, 1}, 1, {0, 0, 0, 0}, 6, 5),
          sample({1, 3, 2, 4}, {4, 3, 5, 2}, 3, {2, 0, 1, 1}, 9, 6),
          sample({1, 1, 1, 3}, {3, 5, 3, 3}, 1, {1, 1, 1, 1}, 1, 1),
          sample({2, 17, 13, 32}, {32, 64, 3, 3}, 1, {1, 1, 1, 1}, 17, 13),
          sample({1, 16, 16, 32}, {32, 32, 3, 3}, 2, {1, 1, 1, 1}, 32, 32),
          sample({1, 32, 32, 4}, {4, 32, 3, 3}, 1, {1, 1, 1, 1}, 32, 32)};
}

}  // namespace of_input

namespace of_weight {

Shape filter(const OpCall& call) {
  const auto [kernel_h, kernel_w] = extents(call, "kernel_h", "kernel_w");
  return {call.inputs[1].shape[3], call.inputs[0].shape[3], kernel_h, kernel_w};
}

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  need_rank(call, 0, 4);
  need_rank(call, 1, 4);
  const Shape weight = filter(call);
  need_result_shape(call, 1, call.inputs[0].shape, weight);
  return one_result(call, call.inputs[0].dtype, weight);
}

Cost cost(const OpCall& call) {
  Cost cost = streaming_cost(call, 0);
  cost.flops = conv_flops(call.inputs[1].shape, filter(call));
  return cost;
}

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const Shape &x = call.inputs[0].shape, &d = call.inputs[1].shape, &w = out[0].type.shape;
  const Conv2dGeometry g = conv2d_geometry(call, w);
  out[0].fill([&](int64_t index) {
    const int64_t v = index % w[3], u = index / w[3] % w[2], c = index / (w[3] * w[2]) % w[1], o = index / (w[3] * w[2] * w[1]);
    double sum = 0;
    for (int64_t n = 0; n < d[0]; ++n)
      for (int64_t i = 0; i < d[1]; ++i) {
        const int64_t row = i * g.stride + u - g.top;
        if (row < 0 || row >= x[1]) continue;
        for (int64_t j = 0; j < d[2]; ++j) {
          const int64_t column = j * g.stride + v - g.left;
          if (column < 0 || column >= x[2]) continue;
          sum += in[0].data[static_cast<size_t>(((n * x[1] + row) * x[2] + column) * x[3] + c)] *
                 in[1].data[static_cast<size_t>(((n * d[1] + i) * d[2] + j) * d[3] + o)];
        }
      }
    return sum;
  });
}

std::vector<Value> vjp(Builder& b, const Primal& primal, Value d_weight) {
  const Conv2dAttrs attrs = conv2d_attrs(primal.call);
  const Value d_x = conv2d_grad_input(b, primal.inputs[1], d_weight, attrs, primal.call.inputs[0].shape);
  return {d_x, conv2d(b, primal.inputs[0], d_weight, {}, attrs)};
}

Sample sample(const Shape& x, const Shape& d, int64_t stride, std::vector<int64_t> padding, int64_t kernel_h, int64_t kernel_w) {
  return {.inputs = {f32(x), f32(d)},
          .attrs = {{"stride", stride}, {"padding", std::move(padding)}, {"kernel_h", kernel_h}, {"kernel_w", kernel_w}}};
}

std::vector<Sample> samples() {
  return {sample({2, 5, 7, 3}, {2, 5, 7, 4}, 1, {1, 1, 1, 1}, 3, 3),
          sample({1, 8, 8, 4}, {1, 4, 4, 6}, 2, {1, 1, 1, 1}, 3, 3),
          sample({1, 7, 8, 4}, {1, 4, 4, 6}, 2, {1, 1, 1, 1}, 3, 3),
          sample({1, 8, 8, 4}, {1, 4, 4, 6}, 2, {0, 0, 1, 1}, 3, 3),
          sample({2, 6, 5, 8}, {2, 6, 5, 5}, 1, {0, 0, 0, 0}, 1, 1),
          sample({1, 9, 6, 3}, {1, 3, 2, 4}, 3, {2, 0, 1, 1}, 5, 2),
          sample({1, 1, 1, 5}, {1, 1, 1, 3}, 1, {1, 1, 1, 1}, 3, 3),
          sample({2, 17, 13, 64}, {2, 17, 13, 32}, 1, {1, 1, 1, 1}, 3, 3),
          sample({1, 32, 32, 32}, {1, 16, 16, 32}, 2, {1, 1, 1, 1}, 3, 3),
          sample({1, 32, 32, 4}, {1, 32, 32, 32}, 1, {1, 1, 1, 1}, 3, 3)};
}

}  // namespace of_weight

}  // namespace

const OpDef conv2d_grad_input_def{
    .name = "conv2d_grad_input",
    .summary = "Cotangent of a convolution's input: the transposed convolution.",
    .formula =
        "dx[n,p,q,c] = Σ d[n,i,j,o] · weight[o,c,u,v] over i·stride + u - top = p, j·stride + v - left = q; matches "
        "torch.nn.grad.conv2d_input in NHWC",
    .inputs = std::vector<OperandSpec>{{"d", "N,OH,OW,O"}, {"weight", "O,C,kh,kw"}},
    .attrs = std::vector<AttrSpec>{kStride,
                                   kPadding,
                                   {"height", int64_t{0}, "rows of the convolution's input", true},
                                   {"width", int64_t{0}, "columns of the convolution's input", true}},
    .infer = of_input::infer,
    .decompose = Primitive{},
    .vjp = of_input::vjp,
    .cost = of_input::cost,
    .reference = of_input::reference,
    .samples = of_input::samples};

const OpDef conv2d_grad_weight_def{.name = "conv2d_grad_weight",
                                   .summary = "Cotangent of a convolution's weight.",
                                   .formula =
                                       "dw[o,c,u,v] = Σ x[n, i·stride + u - top, j·stride + v - left, c] · d[n,i,j,o]; matches "
                                       "torch.nn.grad.conv2d_weight in NHWC",
                                   .inputs = std::vector<OperandSpec>{{"x", "N,H,W,C"}, {"d", "N,OH,OW,O"}},
                                   .attrs = std::vector<AttrSpec>{kStride,
                                                                  kPadding,
                                                                  {"kernel_h", int64_t{0}, "rows of the filter", true},
                                                                  {"kernel_w", int64_t{0}, "columns of the filter", true}},
                                   .infer = of_weight::infer,
                                   .decompose = Primitive{},
                                   .vjp = of_weight::vjp,
                                   .cost = of_weight::cost,
                                   .reference = of_weight::reference,
                                   .samples = of_weight::samples};

Value conv2d_grad_input(Builder& b, Value d, Value weight, const Conv2dAttrs& attrs, const Shape& x) {
  return b.op(conv2d_grad_input_def, {d, weight},
              {{"stride", attrs.stride}, {"padding", padding_of(attrs)}, {"height", x[1]}, {"width", x[2]}});
}
Value conv2d_grad_weight(Builder& b, Value x, Value d, const Conv2dAttrs& attrs, const Shape& weight) {
  return b.op(conv2d_grad_weight_def, {x, d},
              {{"stride", attrs.stride}, {"padding", padding_of(attrs)}, {"kernel_h", weight[2]}, {"kernel_w", weight[3]}});
}

}  // namespace espalier::ops
