// linear, linear_add, linear_geglu: x Wᵀ + b over the last dimension, alone and with what follows it in a transformer
// block. A weight of rank 4, [O,K,1,1], has the memory of [O,K], so only the shape rule knows of it.

#include "core/ops/linear.h"

#include "core/ops/elementwise_binary.h"
#include "core/ops/geglu.h"
#include "core/ops/gelu_exact.h"
#include "core/ops/matmul.h"
#include "core/ops/movement.h"
#include "core/ops/op_common.h"
#include "core/ops/reduce.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

Shape with_last(const Shape& shape, int64_t last) {
  std::vector<int64_t> dims = shape.dims();
  dims.back() = last;
  return Shape(std::move(dims));
}

/// Shape of x Wᵀ + b after checking x, weight and bias (operands 0, 1, 2).
Shape product_shape(const OpCall& call) {
  need_one_floating_dtype(call);
  need_rank_at_least(call, 0, 1);
  const Shape &x = call.inputs[0].shape, &weight = call.inputs[1].shape;
  const bool matrix = weight.rank() == 2 || (weight.rank() == 4 && weight[2] == 1 && weight[3] == 1);
  if (!matrix) refuse(call, operand(call, 1) + ", needs [O,K] or [O,K,1,1]");
  if (weight[1] != x.back())
    refuse(call, "weight has " + std::to_string(weight[1]) + " input channels, x has " + std::to_string(x.back()));
  need_shape(call, 2, {weight[0]}, "one value per output channel");
  return with_last(x, weight[0]);
}

Cost product_cost(const OpCall& call, double other_per_element) {
  Cost cost = streaming_cost(call, other_per_element);
  const Shape &x = call.inputs[0].shape, &weight = call.inputs[1].shape;
  cost.flops = 2.0 * static_cast<double>(rows_of(x)) * static_cast<double>(weight[0]) * static_cast<double>(weight[1]);
  if (call.inputs[2].present()) cost.other_flops += static_cast<double>(rows_of(x) * weight[0]);
  return cost;
}

double product(const OpCall& call, std::span<const RefTensor> in, int64_t row, int64_t o) {
  const int64_t width = call.inputs[1].shape[1];
  const double sum = dot(in[0].data.data() + row * width, in[1].data.data() + o * width, width);
  return in[2].data.empty() ? sum : sum + in[2].data[static_cast<size_t>(o)];
}

// Operands of the samples: x, weight, bias where asked for, and what the composite adds.
Sample sample(const Shape& x, const Shape& weight, bool bias) {
  Sample made{.inputs = {f32(x), f32(weight)}, .fills = {Fill::kNormal, Fill::kSmall}};
  made.inputs.push_back(bias ? f32({weight[0]}) : TensorType{});
  return made;
}

namespace plain {

std::vector<TensorType> infer(const OpCall& call) { return one_result(call, call.inputs[0].dtype, product_shape(call)); }
Cost cost(const OpCall& call) { return product_cost(call, 0); }

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const int64_t width = call.inputs[1].shape[0];
  out[0].fill([&](int64_t i) { return product(call, in, i / width, i % width); });
}

std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) {
  const Shape &x = primal.call.inputs[0].shape, &weight = primal.call.inputs[1].shape;
  const int64_t rows = rows_of(x);
  const Value d_rows = reshape(b, d, {rows, weight[0]});
  const Value x_rows = reshape(b, primal.inputs[0], {rows, weight[1]});
  const Value matrix = reshape(b, primal.inputs[1], {weight[0], weight[1]});
  const Value d_x = reshape(b, matmul(b, d_rows, matrix), x);
  const Value d_weight = reshape(b, matmul(b, d_rows, x_rows, {.transpose_a = true}), weight);
  const Value d_bias = primal.inputs[2].present() ? reduce_sum(b, d_rows, {0}) : Value{};
  return {d_x, d_weight, d_bias};
}

std::vector<Sample> samples() {
  return {sample({2, 3, 5}, {4, 5}, true),
          sample({7}, {3, 7}, false),
          sample({1, 1}, {1, 1}, true),
          sample({2, 77, 33}, {19, 33}, true),
          sample({2, 4, 5, 16}, {24, 16, 1, 1}, true),
          sample({1, 1280}, {320, 1280}, true),
          sample({130, 320}, {1280, 320}, true),
          sample({2, 64, 64}, {192, 64}, false),
          sample({2, 77, 128}, {96, 128}, false)};
}

}  // namespace plain

namespace with_residual {

std::vector<TensorType> infer(const OpCall& call) {
  const Shape shape = product_shape(call);
  need_shape(call, 3, shape, "the shape of the product");
  return one_result(call, call.inputs[0].dtype, shape);
}
Cost cost(const OpCall& call) { return product_cost(call, 1); }

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const int64_t width = call.inputs[1].shape[0];
  out[0].fill([&](int64_t i) { return product(call, in, i / width, i % width) + in[3].data[static_cast<size_t>(i)]; });
}

Value decompose(Builder& b, const OpCall&, std::span<const Value> in) {
  return add(b, ops::linear(b, in[0], in[1], in[2]), in[3]);
}

std::vector<Sample> samples() {
  std::vector<Sample> all{sample({2, 3, 5}, {4, 5}, true),     sample({1, 7}, {3, 7}, false),
                          sample({1, 1}, {1, 1}, true),        sample({2, 4, 5, 16}, {24, 16, 1, 1}, true),
                          sample({2, 77, 64}, {32, 64}, true), sample({130, 320}, {320, 320}, true)};
  for (Sample& each : all) each.inputs.push_back(f32(with_last(each.inputs[0].shape, each.inputs[1].shape[0])));
  return all;
}

}  // namespace with_residual

namespace gated {

std::vector<TensorType> infer(const OpCall& call) {
  const Shape shape = product_shape(call);
  if (shape.back() % 2 != 0)
    refuse(call, "weight has " + std::to_string(shape.back()) + " output channels, needs an even number");
  return one_result(call, call.inputs[0].dtype, with_last(shape, shape.back() / 2));
}
Cost cost(const OpCall& call) { return product_cost(call, 11); }

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const int64_t half = call.inputs[1].shape[0] / 2;
  out[0].fill([&](int64_t i) {
    return product(call, in, i / half, i % half) * gelu_exact(product(call, in, i / half, i % half + half));
  });
}

Value decompose(Builder& b, const OpCall&, std::span<const Value> in) { return geglu(b, ops::linear(b, in[0], in[1], in[2])); }

std::vector<Sample> samples() {
  return {sample({2, 3, 5}, {8, 5}, true),
          sample({1, 7}, {6, 7}, false),
          sample({1, 1}, {2, 1}, true),
          sample({2, 77, 32}, {256, 32}, true),
          sample({2, 3, 3, 16}, {32, 16, 1, 1}, true),
          sample({130, 160}, {640, 160}, true)};
}

}  // namespace gated

const std::vector<OperandSpec> kOperands{{"x", "…,K"}, {"weight", "O,K"}, {"bias", "O", true}};
}  // namespace

const OpDef linear_def{.name = "linear",
                       .summary = "Matrix product with a weight over the last dimension, plus bias.",
                       .formula =
                           "y[…,o] = Σ x[…,k] · weight[o,k] + bias[o]; matches torch.nn.functional.linear (a weight [O,K,1,1] "
                           "is a 1x1 convolution in NHWC)",
                       .inputs = kOperands,
                       .attrs = std::vector<AttrSpec>{},
                       .infer = plain::infer,
                       .decompose = Primitive{},
                       .vjp = plain::vjp,
                       .cost = plain::cost,
                       .reference = plain::reference,
                       .samples = plain::samples};

const OpDef linear_add_def{
    .name = "linear_add",
    .summary = "linear, then a residual of the result's shape is added.",
    .formula = "y = linear(x, weight, bias) + residual",
    .inputs = std::vector<OperandSpec>{{"x", "…,K"}, {"weight", "O,K"}, {"bias", "O", true}, {"residual", "…,O"}},
    .attrs = std::vector<AttrSpec>{},
    .infer = with_residual::infer,
    .decompose = DecomposeFn(with_residual::decompose),
    .vjp = ThroughParts{},
    .cost = with_residual::cost,
    .reference = with_residual::reference,
    .samples = with_residual::samples};

const OpDef linear_geglu_def{.name = "linear_geglu",
                             .summary = "linear, then geglu: the first half of the channels times the gelu of the second.",
                             .formula = "y = geglu(linear(x, weight, bias)); matches diffusers.models.activations.GEGLU",
                             .inputs = kOperands,
                             .attrs = std::vector<AttrSpec>{},
                             .infer = gated::infer,
                             .decompose = DecomposeFn(gated::decompose),
                             .vjp = ThroughParts{},
                             .cost = gated::cost,
                             .reference = gated::reference,
                             .samples = gated::samples};

Value linear(Builder& b, Value x, Value weight, Value bias) { return b.op(linear_def, {x, weight, bias}); }
Value linear_add(Builder& b, Value x, Value weight, Value bias, Value residual) {
  return b.op(linear_add_def, {x, weight, bias, residual});
}
Value linear_geglu(Builder& b, Value x, Value weight, Value bias) { return b.op(linear_geglu_def, {x, weight, bias}); }

}  // namespace espalier::ops
