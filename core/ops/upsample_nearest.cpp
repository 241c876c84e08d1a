// upsample_nearest: every output pixel is a copy of floor(i · H / height), floor(j · W / width). Its gradient sums the
// copies of a pixel, which are one rectangle of the result.

#include "core/ops/upsample_nearest.h"

#include <array>

#include "core/ops/op_common.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

/// The attributes height and width, at least 1; `what` they are for messages.
std::array<int64_t, 2> size_of(const OpCall& call, const char* what) {
  const int64_t height = call.attrs.i("height"), width = call.attrs.i("width");
  if (height < 1 || width < 1)
    refuse(call,
           std::string(what) + " is " + std::to_string(height) + "x" + std::to_string(width) + " pixels, must be at least 1x1");
  return {height, width};
}

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  need_rank(call, 0, 4);
  const Shape& x = call.inputs[0].shape;
  const auto [height, width] = size_of(call, "target");
  if (x[1] < 1 || x[2] < 1) refuse(call, operand(call, 0) + "; it needs at least one pixel");
  return one_result(call, call.inputs[0].dtype, {x[0], height, width, x[3]});
}

Cost cost(const OpCall& call) { return streaming_cost(call, 0); }

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const Shape& x = call.inputs[0].shape;
  const int64_t height = call.attrs.i("height"), width = call.attrs.i("width"), channels = x[3];
  out[0].fill([&](int64_t i) {
    const int64_t pixel = i / channels, row = pixel / width % height * x[1] / height, column = pixel % width * x[2] / width;
    return in[0].data[static_cast<size_t>(((pixel / (width * height) * x[1] + row) * x[2] + column) * channels + i % channels)];
  });
}

std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) {
  return {upsample_nearest_grad(b, d, primal.call.inputs[0].shape[1], primal.call.inputs[0].shape[2])};
}

Sample sample(const Shape& x, int64_t height, int64_t width) {
  return {.inputs = {f32(x)}, .attrs = {{"height", height}, {"width", width}}};
}

std::vector<Sample> samples() {
  return {sample({2, 3, 5, 7}, 6, 10), sample({1, 4, 4, 3}, 7, 5),      sample({1, 1, 1, 2}, 3, 1),
          sample({1, 6, 8, 4}, 3, 4),  sample({2, 16, 16, 32}, 32, 32), sample({1, 9, 13, 16}, 17, 25)};
}

namespace backward {

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  need_rank(call, 0, 4);
  const Shape& d = call.inputs[0].shape;
  const auto [height, width] = size_of(call, "source");
  if (d[1] < 1 || d[2] < 1) refuse(call, operand(call, 0) + "; it needs at least one pixel");
  return one_result(call, call.inputs[0].dtype, {d[0], height, width, d[3]});
}

// First of the `many` positions that copy `from` of `few`, and one past the last is the first of from + 1.
int64_t first_copy(int64_t from, int64_t few, int64_t many) { return (from * many + few - 1) / few; }

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const Shape &d = call.inputs[0].shape, &x = out[0].type.shape;
  out[0].fill([&](int64_t index) {
    const int64_t c = index % x[3], column = index / x[3] % x[2], row = index / (x[3] * x[2]) % x[1];
    const double* plane = in[0].data.data() + index / (x[3] * x[2] * x[1]) * d[1] * d[2] * d[3];
    double sum = 0;
    for (int64_t i = first_copy(row, x[1], d[1]); i < first_copy(row + 1, x[1], d[1]); ++i)
      for (int64_t j = first_copy(column, x[2], d[2]); j < first_copy(column + 1, x[2], d[2]); ++j)
        sum += plane[(i * d[2] + j) * d[3] + c];
    return sum;
  });
}

std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) {
  return {upsample_nearest(b, d, primal.call.inputs[0].shape[1], primal.call.inputs[0].shape[2])};
}

std::vector<Sample> samples() {
  return {sample({2, 6, 10, 7}, 3, 5), sample({1, 7, 5, 3}, 4, 4),      sample({1, 3, 1, 2}, 1, 1),
          sample({1, 3, 4, 4}, 6, 8),  sample({2, 32, 32, 32}, 16, 16), sample({1, 17, 25, 16}, 9, 13)};
}

}  // namespace backward

}  // namespace

const OpDef upsample_nearest_def{
    .name = "upsample_nearest",
    .summary = "Nearest-neighbour resize to any size.",
    .formula =
        "y[n,i,j,c] = x[n, ⌊i·H/height⌋, ⌊j·W/width⌋, c]; matches torch.nn.functional.interpolate(mode=\"nearest\") in NHWC",
    .inputs = std::vector<OperandSpec>{{"x", "N,H,W,C"}},
    .attrs = std::vector<AttrSpec>{{"height", int64_t{0}, "rows of the result", true},
                                   {"width", int64_t{0}, "columns of the result", true}},
    .infer = infer,
    .decompose = Primitive{},
    .vjp = vjp,
    .cost = cost,
    .reference = reference,
    .samples = samples};

const OpDef upsample_nearest_grad_def{
    .name = "upsample_nearest_grad",
    .summary = "Cotangent of the input of upsample_nearest: the copies of each pixel summed.",
    .formula = "dx[n,p,q,c] = Σ d[n,i,j,c] over ⌊i·height/OH⌋ = p, ⌊j·width/OW⌋ = q",
    .inputs = std::vector<OperandSpec>{{"d", "N,OH,OW,C"}},
    .attrs = std::vector<AttrSpec>{{"height", int64_t{0}, "rows of the input that was resized", true},
                                   {"width", int64_t{0}, "columns of the input that was resized", true}},
    .infer = backward::infer,
    .decompose = Primitive{},
    .vjp = backward::vjp,
    .cost = cost,
    .reference = backward::reference,
    .samples = backward::samples};

Value upsample_nearest(Builder& b, Value x, int64_t height, int64_t width) {
  return b.op(upsample_nearest_def, {x}, {{"height", height}, {"width", width}});
}
Value upsample_nearest_grad(Builder& b, Value d, int64_t height, int64_t width) {
  return b.op(upsample_nearest_grad_def, {d}, {{"height", height}, {"width", width}});
}

}  // namespace espalier::ops
