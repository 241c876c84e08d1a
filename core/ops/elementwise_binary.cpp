// add, div, maximum, mul, sub with NumPy broadcasting of both operands.

#include "core/ops/elementwise_binary.h"

#include <cmath>

#include "core/ops/broadcasting.h"
#include "core/ops/elementwise_unary.h"
#include "core/ops/op_common.h"
#include "core/ops/registry.h"
#include "core/ops/vjp_common.h"

namespace espalier::ops {
namespace {

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  const std::optional<Shape> shape = broadcast_shape(call.inputs[0].shape, call.inputs[1].shape);
  if (!shape) refuse(call, operand(call, 0) + " and " + operand(call, 1) + ", which do not broadcast");
  return one_result(call, call.inputs[0].dtype, *shape);
}

Cost cost(const OpCall& call) { return streaming_cost(call, 1); }

double add_of(double a, double c) { return a + c; }
double div_of(double a, double c) { return a / c; }
double maximum_of(double a, double c) { return std::isnan(a) || a > c ? a : c; }
double mul_of(double a, double c) { return a * c; }
double sub_of(double a, double c) { return a - c; }

template <double (*F)(double, double)>
void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const BroadcastIndex at_a(call.inputs[0].shape, out[0].type.shape), at_c(call.inputs[1].shape, out[0].type.shape);
  const double *a = in[0].data.data(), *c = in[1].data.data();
  out[0].fill([&](int64_t i) { return F(a[at_a(i)], c[at_c(i)]); });
}

/// Cotangents of both operands, summed where the operand was broadcast.
std::vector<Value> both(Builder& b, const Primal& primal, Value d_a, Value d_c) {
  d_a = sum_to(b, d_a, primal.call.inputs[0].shape);
  return {d_a, sum_to(b, d_c, primal.call.inputs[1].shape)};
}

std::vector<Value> add_vjp(Builder& b, const Primal& primal, Value d) { return both(b, primal, d, d); }
std::vector<Value> sub_vjp(Builder& b, const Primal& primal, Value d) { return both(b, primal, d, neg(b, d)); }
std::vector<Value> mul_vjp(Builder& b, const Primal& primal, Value d) {
  const Value d_a = mul(b, d, primal.inputs[1]);
  return both(b, primal, d_a, mul(b, d, primal.inputs[0]));
}
std::vector<Value> div_vjp(Builder& b, const Primal& primal, Value d) {
  const Value d_a = div(b, d, primal.inputs[1]);
  return both(b, primal, d_a, neg(b, mul(b, d_a, primal.result)));
}
// Equal operands share the cotangent, as in PyTorch.
std::vector<Value> maximum_vjp(Builder& b, const Primal& primal, Value d) {
  const Value d_a = scaled(b, mul(b, d, shifted(b, sign(b, sub(b, primal.inputs[0], primal.inputs[1])), 1)), 0.5);
  return both(b, primal, d_a, sub(b, d, d_a));
}

template <Fill kSecond>
std::vector<Sample> samples() {
  std::vector<Sample> all{{.inputs = {f32({2, 3, 5, 7}), f32({2, 3, 5, 7})}},
                          {.inputs = {f32({2, 4, 5, 8}), f32({8})}},
                          {.inputs = {f32({2, 4, 5, 8}), f32({2, 1, 1, 8})}},
                          {.inputs = {f32({3, 1}), f32({1, 4})}},
                          {.inputs = {f32({}), f32({2, 3})}},
                          {.inputs = {f32({1}), f32({1})}},
                          {.inputs = {f32({5, 1, 7}), f32({4, 1})}},
                          {.inputs = {f32({2, 16, 16, 64}), f32({2, 16, 16, 64})}}};
  for (Sample& sample : all) sample.fills = {Fill::kNormal, kSecond};
  return all;
}

OpDef binary(std::string_view name, std::string_view summary, std::string_view formula, ReferenceFn reference, VjpFn vjp,
             SamplesFn samples) {
  return {.name = name,
          .summary = summary,
          .formula = formula,
          .inputs = std::vector<OperandSpec>{{"a", "…"}, {"c", "…"}},
          .attrs = std::vector<AttrSpec>{},
          .infer = infer,
          .decompose = Primitive{},
          .vjp = vjp,
          .cost = cost,
          .reference = reference,
          .samples = samples};
}

constexpr SamplesFn kAny = samples<Fill::kNormal>;
constexpr SamplesFn kDivisor = samples<Fill::kPositive>;

}  // namespace

const OpDef add_def = binary("add", "Sum, broadcasting.", "y = a + c; matches torch.add", reference<add_of>, add_vjp, kAny);
const OpDef div_def =
    binary("div", "Quotient, broadcasting.", "y = a / c; matches torch.div", reference<div_of>, div_vjp, kDivisor);
const OpDef maximum_def = binary("maximum", "Larger of two, broadcasting; NaN wins.", "y = max(a, c); matches torch.maximum",
                                 reference<maximum_of>, maximum_vjp, kAny);
const OpDef mul_def = binary("mul", "Product, broadcasting.", "y = a · c; matches torch.mul", reference<mul_of>, mul_vjp, kAny);
const OpDef sub_def =
    binary("sub", "Difference, broadcasting.", "y = a - c; matches torch.sub", reference<sub_of>, sub_vjp, kAny);

Value add(Builder& b, Value a, Value c) { return b.op(add_def, {a, c}); }
Value div(Builder& b, Value a, Value c) { return b.op(div_def, {a, c}); }
Value maximum(Builder& b, Value a, Value c) { return b.op(maximum_def, {a, c}); }
Value mul(Builder& b, Value a, Value c) { return b.op(mul_def, {a, c}); }
Value sub(Builder& b, Value a, Value c) { return b.op(sub_def, {a, c}); }

}  // namespace espalier::ops
