// upsample_nearest: every output pixel is a copy of floor(i · H / height), floor(j · W / width).

#include "core/ops/upsample_nearest.h"

#include "core/ops/op_common.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  need_rank(call, 0, 4);
  const Shape& x = call.inputs[0].shape;
  const int64_t height = call.attrs.i("height"), width = call.attrs.i("width");
  if (height < 1 || width < 1)
    refuse(call, "target is " + std::to_string(height) + "x" + std::to_string(width) + " pixels, must be at least 1x1");
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

Sample sample(const Shape& x, int64_t height, int64_t width) {
  return {.inputs = {f32(x)}, .attrs = {{"height", height}, {"width", width}}};
}

std::vector<Sample> samples() {
  return {sample({2, 3, 5, 7}, 6, 10), sample({1, 4, 4, 3}, 7, 5),      sample({1, 1, 1, 2}, 3, 1),
          sample({1, 6, 8, 4}, 3, 4),  sample({2, 16, 16, 32}, 32, 32), sample({1, 9, 13, 16}, 17, 25)};
}

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
    .cost = cost,
    .reference = reference,
    .samples = samples};

Value upsample_nearest(Builder& b, Value x, int64_t height, int64_t width) {
  return b.op(upsample_nearest_def, {x}, {{"height", height}, {"width", width}});
}

}  // namespace espalier::ops
