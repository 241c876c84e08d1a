// broadcast, concat, permute, reshape, slice: elements move, none changes. Any dtype passes.

#include "core/ops/movement.h"

#include <algorithm>

#include "core/ops/broadcasting.h"
#include "core/ops/op_common.h"
#include "core/ops/registry.h"
#include "core/ops/vjp_common.h"

namespace espalier::ops {
namespace {

Cost cost(const OpCall& call) { return streaming_cost(call, 0); }

// Built graphs count axes from the front, so that equal nodes are equal in text too; one out of range stays for `infer`.
int64_t from_front(Builder& b, Value x, int64_t axis) {
  const int rank = b.shape(x).rank();
  return axis < 0 && axis >= -rank ? axis + rank : axis;
}

/// The attribute `shape`, its extents checked.
Shape wanted_shape(const OpCall& call) {
  const std::vector<int64_t>& dims = call.attrs.ints("shape");
  if (dims.size() > static_cast<size_t>(Shape::kMaxRank))
    refuse(call, "shape has " + std::to_string(dims.size()) + " dimensions, at most " + std::to_string(Shape::kMaxRank) +
                     " are allowed");
  for (int64_t d : dims)
    if (d < 0) refuse(call, "shape " + to_string(Shape(dims)) + " has a negative extent");
  return one_result(call, call.inputs[0].dtype, Shape(dims))[0].shape;
}

namespace reshaping {

std::vector<TensorType> infer(const OpCall& call) {
  const Shape shape = wanted_shape(call);
  const int64_t before = call.inputs[0].shape.elements();
  if (shape.elements() != before)
    refuse(call, operand(call, 0) + " with " + std::to_string(before) + " elements, shape " + to_string(shape) + " has " +
                     std::to_string(shape.elements()));
  return {{call.inputs[0].dtype, shape}};
}

Cost cost(const OpCall&) { return {}; }  // a view

void reference(const OpCall&, std::span<const RefTensor> in, std::span<RefResult> out) {
  out[0].fill([&](int64_t i) { return in[0].data[static_cast<size_t>(i)]; });
}

std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) { return {reshape(b, d, primal.call.inputs[0].shape)}; }

Sample sample(const Shape& from, std::vector<int64_t> to) { return {.inputs = {f32(from)}, .attrs = {{"shape", std::move(to)}}}; }

std::vector<Sample> samples() {
  return {sample({2, 3, 4}, {6, 4}), sample({1}, {}), sample({}, {1, 1}), sample({2, 5, 7, 8}, {2, 35, 8}),
          sample({2, 77, 64}, {2, 77, 4, 16})};
}

}  // namespace reshaping

namespace permuting {

std::vector<TensorType> infer(const OpCall& call) {
  const Shape& x = call.inputs[0].shape;
  const std::vector<int64_t>& order = call.attrs.ints("order");
  std::vector<int64_t> sorted = order, dims;
  std::sort(sorted.begin(), sorted.end());
  bool permutation = static_cast<int>(order.size()) == x.rank();
  for (size_t i = 0; i < sorted.size(); ++i) permutation = permutation && sorted[i] == static_cast<int64_t>(i);
  if (!permutation)
    refuse(call, "order " + to_string(Shape(order)) + " does not name every dimension of x once; " + operand(call, 0));
  for (int64_t from : order) dims.push_back(x[static_cast<int>(from)]);
  return {{call.inputs[0].dtype, Shape(std::move(dims))}};
}

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const std::vector<int64_t>& order = call.attrs.ints("order");
  const std::vector<int64_t> own = strides_of(call.inputs[0].shape);
  const std::vector<int64_t>& extents = out[0].type.shape.dims();
  out[0].fill([&](int64_t i) {
    int64_t at = 0;
    for (size_t d = extents.size(); d-- > 0; i /= extents[d]) at += i % extents[d] * own[static_cast<size_t>(order[d])];
    return in[0].data[static_cast<size_t>(at)];
  });
}

std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) {
  const std::vector<int64_t>& order = primal.call.attrs.ints("order");
  std::vector<int64_t> inverse(order.size());
  for (size_t i = 0; i < order.size(); ++i) inverse[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
  return {permute(b, d, std::move(inverse))};
}

Sample sample(const Shape& x, std::vector<int64_t> order) { return {.inputs = {f32(x)}, .attrs = {{"order", std::move(order)}}}; }

std::vector<Sample> samples() {
  return {sample({2, 3, 4}, {2, 0, 1}),
          sample({5, 7}, {1, 0}),
          sample({2, 3, 5, 4}, {0, 2, 1, 3}),
          sample({3}, {0}),
          sample({2, 8, 6, 16}, {0, 3, 1, 2}),
          sample({1, 1}, {1, 0}),
          sample({}, {})};
}

}  // namespace permuting

namespace joining {

std::vector<TensorType> infer(const OpCall& call) {
  const TensorType& first = call.inputs[0];
  if (first.shape.rank() < 1) refuse(call, "parts have rank 0, which has no axis to join along");
  const int axis = normal_axis(call, call.attrs.i("axis"), first.shape.rank());
  std::vector<int64_t> dims = first.shape.dims();
  for (size_t i = 1; i < call.inputs.size(); ++i) {
    const TensorType& part = call.inputs[i];
    bool fits = part.dtype == first.dtype && part.shape.rank() == first.shape.rank();
    for (int d = 0; fits && d < first.shape.rank(); ++d) fits = d == axis || part.shape[d] == first.shape[d];
    if (!fits)
      refuse(call, operand(call, i) + " but " + operand(call, 0) + "; only dimension " + std::to_string(axis) + " may differ");
    dims[static_cast<size_t>(axis)] += part.shape[axis];
  }
  return one_result(call, first.dtype, Shape(std::move(dims)));
}

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const Shape& result = out[0].type.shape;
  const int axis = normal_axis(call, call.attrs.i("axis"), result.rank());
  int64_t inner = 1;
  for (int d = axis + 1; d < result.rank(); ++d) inner *= result[d];
  out[0].fill([&](int64_t i) {
    const int64_t outer = i / (inner * result[axis]), rest = i % inner;
    int64_t along = i / inner % result[axis];
    size_t part = 0;
    while (along >= call.inputs[part].shape[axis]) along -= call.inputs[part++].shape[axis];
    return in[part].data[static_cast<size_t>((outer * call.inputs[part].shape[axis] + along) * inner + rest)];
  });
}

std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) {
  const int axis = normal_axis(primal.call, primal.call.attrs.i("axis"), b.shape(d).rank());
  std::vector<Value> parts;
  int64_t begin = 0;
  for (const TensorType& part : primal.call.inputs) {
    parts.push_back(slice(b, d, axis, begin, begin + part.shape[axis]));
    begin += part.shape[axis];
  }
  return parts;
}

std::vector<Sample> samples() {
  return {{.inputs = {f32({2, 3, 4}), f32({2, 5, 4})}, .attrs = {{"axis", int64_t{1}}}},
          {.inputs = {f32({2, 3, 5, 7}), f32({2, 3, 5, 1}), f32({2, 3, 5, 2})}, .attrs = {{"axis", int64_t{-1}}}},
          {.inputs = {f32({3})}, .attrs = {{"axis", int64_t{0}}}},
          {.inputs = {f32({1, 4}), f32({2, 4})}, .attrs = {{"axis", int64_t{0}}}},
          {.inputs = {f32({2, 8, 8, 64}), f32({2, 8, 8, 32})}, .attrs = {{"axis", int64_t{3}}}}};
}

}  // namespace joining

namespace slicing {

std::vector<TensorType> infer(const OpCall& call) {
  const Shape& x = call.inputs[0].shape;
  if (x.rank() < 1) refuse(call, "x has rank 0, which has no axis to cut");
  const int axis = normal_axis(call, call.attrs.i("axis"), x.rank());
  const int64_t begin = call.attrs.i("begin"), end = call.attrs.i("end");
  if (begin < 0 || end > x[axis] || begin >= end)
    refuse(call, "[" + std::to_string(begin) + "," + std::to_string(end) + ") is not a range of dimension " +
                     std::to_string(axis) + ", which has " + std::to_string(x[axis]));
  std::vector<int64_t> dims = x.dims();
  dims[static_cast<size_t>(axis)] = end - begin;
  return {{call.inputs[0].dtype, Shape(std::move(dims))}};
}

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const Shape& x = call.inputs[0].shape;
  const int axis = normal_axis(call, call.attrs.i("axis"), x.rank());
  const int64_t begin = call.attrs.i("begin"), count = call.attrs.i("end") - begin;
  int64_t inner = 1;
  for (int d = axis + 1; d < x.rank(); ++d) inner *= x[d];
  out[0].fill([&](int64_t i) {
    const int64_t outer = i / (inner * count), along = i / inner % count + begin;
    return in[0].data[static_cast<size_t>((outer * x[axis] + along) * inner + i % inner)];
  });
}

std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) {
  const TensorType& x = primal.call.inputs[0];
  const int axis = normal_axis(primal.call, primal.call.attrs.i("axis"), x.shape.rank());
  const auto zeros = [&](int64_t count) {
    std::vector<int64_t> dims = x.shape.dims();
    dims[static_cast<size_t>(axis)] = count;
    return filled(b, {x.dtype, Shape(std::move(dims))}, 0);
  };
  const int64_t begin = primal.call.attrs.i("begin"), end = primal.call.attrs.i("end");
  std::vector<Value> parts;
  if (begin > 0) parts.push_back(zeros(begin));
  parts.push_back(d);
  if (end < x.shape[axis]) parts.push_back(zeros(x.shape[axis] - end));
  return {concat(b, std::move(parts), axis)};
}

Sample sample(const Shape& x, int64_t axis, int64_t begin, int64_t end) {
  return {.inputs = {f32(x)}, .attrs = {{"axis", axis}, {"begin", begin}, {"end", end}}};
}

std::vector<Sample> samples() {
  return {sample({2, 5, 3}, 1, 1, 4), sample({2, 3, 10}, -1, 5, 10), sample({7}, 0, 0, 7), sample({4, 1}, 0, 3, 4),
          sample({2, 8, 8, 64}, 3, 32, 64)};
}

}  // namespace slicing

namespace broadcasting {

std::vector<TensorType> infer(const OpCall& call) {
  const Shape shape = wanted_shape(call);
  if (broadcast_shape(call.inputs[0].shape, shape) != shape)
    refuse(call, operand(call, 0) + ", which does not broadcast to " + to_string(shape));
  return {{call.inputs[0].dtype, shape}};
}

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const BroadcastIndex at(call.inputs[0].shape, out[0].type.shape);
  out[0].fill([&](int64_t i) { return in[0].data[static_cast<size_t>(at(i))]; });
}

std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) { return {sum_to(b, d, primal.call.inputs[0].shape)}; }

Sample sample(const Shape& x, std::vector<int64_t> shape) { return {.inputs = {f32(x)}, .attrs = {{"shape", std::move(shape)}}}; }

std::vector<Sample> samples() {
  return {sample({1, 3, 1}, {2, 3, 4}), sample({}, {2, 2}), sample({5}, {3, 5}), sample({2, 3}, {2, 3}),
          sample({2, 1, 1, 8}, {2, 6, 5, 8})};
}

}  // namespace broadcasting

}  // namespace

const OpDef broadcast_def{.name = "broadcast",
                          .summary = "Repeats dimensions of extent 1, and adds dimensions in front, up to a shape.",
                          .formula = "y[i…] = x[i… where x's extent is not 1, else 0]; matches torch.broadcast_to",
                          .inputs = std::vector<OperandSpec>{{"x", "…"}},
                          .attrs = std::vector<AttrSpec>{{"shape", std::vector<int64_t>{}, "extents of the result", true}},
                          .infer = broadcasting::infer,
                          .decompose = Primitive{},
                          .vjp = broadcasting::vjp,
                          .cost = cost,
                          .reference = broadcasting::reference,
                          .samples = broadcasting::samples};

const OpDef concat_def{
    .name = "concat",
    .summary = "Joins tensors along one dimension.",
    .formula = "y = parts one after another along axis; matches torch.cat",
    .inputs = std::vector<OperandSpec>{{"parts", "…", false, true}},
    .attrs = std::vector<AttrSpec>{{"axis", int64_t{0}, "dimension to join along; negative counts from the end", true}},
    .infer = joining::infer,
    .decompose = Primitive{},
    .vjp = joining::vjp,
    .cost = cost,
    .reference = joining::reference,
    .samples = joining::samples};

const OpDef permute_def{
    .name = "permute",
    .summary = "Reorders dimensions.",
    .formula = "extent i of y is extent order[i] of x; matches torch.permute",
    .inputs = std::vector<OperandSpec>{{"x", "…"}},
    .attrs = std::vector<AttrSpec>{{"order", std::vector<int64_t>{}, "which dimension of x comes here", true}},
    .infer = permuting::infer,
    .decompose = Primitive{},
    .vjp = permuting::vjp,
    .cost = cost,
    .reference = permuting::reference,
    .samples = permuting::samples};

const OpDef reshape_def{.name = "reshape",
                        .summary = "The same elements in row-major order under another shape: a view.",
                        .formula = "y[flat] = x[flat]; matches torch.reshape of a contiguous tensor",
                        .inputs = std::vector<OperandSpec>{{"x", "…"}},
                        .attrs = std::vector<AttrSpec>{{"shape", std::vector<int64_t>{}, "extents of the result", true}},
                        .infer = reshaping::infer,
                        .decompose = Primitive{},
                        .vjp = reshaping::vjp,
                        .cost = reshaping::cost,
                        .reference = reshaping::reference,
                        .samples = reshaping::samples};

const OpDef slice_def{.name = "slice",
                      .summary = "A range of one dimension.",
                      .formula = "y = x[…, begin:end, …] along axis; matches torch.narrow",
                      .inputs = std::vector<OperandSpec>{{"x", "…"}},
                      .attrs = std::vector<AttrSpec>{{"axis", int64_t{0}, "dimension to cut; negative counts from the end", true},
                                                     {"begin", int64_t{0}, "first index", true},
                                                     {"end", int64_t{0}, "one past the last index", true}},
                      .infer = slicing::infer,
                      .decompose = Primitive{},
                      .vjp = slicing::vjp,
                      .cost = cost,
                      .reference = slicing::reference,
                      .samples = slicing::samples};

Value reshape(Builder& b, Value x, const Shape& shape) { return b.op(reshape_def, {x}, {{"shape", shape.dims()}}); }
Value permute(Builder& b, Value x, std::vector<int64_t> order) { return b.op(permute_def, {x}, {{"order", std::move(order)}}); }
Value concat(Builder& b, std::vector<Value> parts, int64_t axis) {
  const int64_t counted = parts.empty() ? axis : from_front(b, parts[0], axis);
  return b.op(concat_def, std::move(parts), {{"axis", counted}});
}
Value slice(Builder& b, Value x, int64_t axis, int64_t begin, int64_t end) {
  return b.op(slice_def, {x}, {{"axis", from_front(b, x, axis)}, {"begin", begin}, {"end", end}});
}
Value broadcast(Builder& b, Value x, const Shape& shape) { return b.op(broadcast_def, {x}, {{"shape", shape.dims()}}); }

}  // namespace espalier::ops
