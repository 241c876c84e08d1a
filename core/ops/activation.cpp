// gelu, sigmoid, silu, tanh. Exact forms: no tanh approximation of gelu, no clamping.

#include "core/ops/activation.h"

#include <cmath>

#include "core/ops/elementwise_binary.h"
#include "core/ops/elementwise_unary.h"
#include "core/ops/gelu_exact.h"
#include "core/ops/op_common.h"
#include "core/ops/registry.h"
#include "core/ops/vjp_common.h"

namespace espalier::ops {
namespace {

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  return {call.inputs[0]};
}

template <int kFlops>
Cost cost(const OpCall& call) {
  return streaming_cost(call, kFlops);
}

double sigmoid_of(double x) { return 1.0 / (1.0 + std::exp(-x)); }
double silu_of(double x) { return x / (1.0 + std::exp(-x)); }
double tanh_of(double x) { return std::tanh(x); }

template <double (*F)(double)>
void reference(const OpCall&, std::span<const RefTensor> in, std::span<RefResult> out) {
  const std::span<const double> x = in[0].data;
  out[0].fill([&](int64_t i) { return F(x[static_cast<size_t>(i)]); });
}

Value one_minus(Builder& b, Value x) { return shifted(b, neg(b, x), 1); }

std::vector<Value> gelu_vjp(Builder& b, const Primal& primal, Value d) { return {mul(b, d, gelu_slope(b, primal.inputs[0]))}; }
std::vector<Value> sigmoid_vjp(Builder& b, const Primal& primal, Value d) {
  return {mul(b, d, mul(b, primal.result, one_minus(b, primal.result)))};
}
std::vector<Value> silu_vjp(Builder& b, const Primal& primal, Value d) { return {b.op(silu_grad_def, {primal.inputs[0], d})}; }
std::vector<Value> tanh_vjp(Builder& b, const Primal& primal, Value d) {
  return {mul(b, d, one_minus(b, square(b, primal.result)))};
}

namespace silu_backward {

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  need_shape(call, 1, call.inputs[0].shape, "the shape of x");
  return {call.inputs[0]};
}

void reference(const OpCall&, std::span<const RefTensor> in, std::span<RefResult> out) {
  out[0].fill([&](int64_t i) {
    const double x = in[0].data[static_cast<size_t>(i)], gate = sigmoid_of(x);
    return in[1].data[static_cast<size_t>(i)] * (gate + x * gate * (1 - gate));
  });
}

Value decompose(Builder& b, const OpCall&, std::span<const Value> in) {
  const Value gate = sigmoid(b, in[0]);
  const Value curve = mul(b, mul(b, in[0], gate), one_minus(b, gate));
  return mul(b, in[1], add(b, gate, curve));
}

std::vector<Sample> samples() {
  return {{.inputs = {f32({2, 3, 5, 7}), f32({2, 3, 5, 7})}},
          {.inputs = {f32({1}), f32({1})}},
          {.inputs = {f32({}), f32({})}},
          {.inputs = {f32({2, 16, 16, 64}), f32({2, 16, 16, 64})}}};
}

}  // namespace silu_backward

std::vector<Sample> samples() {
  return {{.inputs = {f32({2, 3, 5, 7})}}, {.inputs = {f32({1})}}, {.inputs = {f32({})}}, {.inputs = {f32({2, 16, 16, 64})}}};
}

}  // namespace

const OpDef gelu_def{.name = "gelu",
                     .summary = "Gaussian error linear unit, exact.",
                     .formula = "y = x Φ(x) = x/2 (1 + erf(x/√2)); matches torch.nn.functional.gelu(approximate=\"none\")",
                     .inputs = std::vector<OperandSpec>{{"x", "…"}},
                     .attrs = std::vector<AttrSpec>{},
                     .infer = infer,
                     .decompose = Primitive{},
                     .vjp = gelu_vjp,
                     .cost = cost<10>,
                     .reference = reference<gelu_exact>,
                     .samples = samples};

const OpDef sigmoid_def{.name = "sigmoid",
                        .summary = "Logistic function.",
                        .formula = "y = 1 / (1 + exp(-x)); matches torch.sigmoid",
                        .inputs = std::vector<OperandSpec>{{"x", "…"}},
                        .attrs = std::vector<AttrSpec>{},
                        .infer = infer,
                        .decompose = Primitive{},
                        .vjp = sigmoid_vjp,
                        .cost = cost<4>,
                        .reference = reference<sigmoid_of>,
                        .samples = samples};

const OpDef silu_def{.name = "silu",
                     .summary = "Sigmoid linear unit (swish).",
                     .formula = "y = x / (1 + exp(-x)); matches torch.nn.functional.silu",
                     .inputs = std::vector<OperandSpec>{{"x", "…"}},
                     .attrs = std::vector<AttrSpec>{},
                     .infer = infer,
                     .decompose = Primitive{},
                     .vjp = silu_vjp,
                     .cost = cost<5>,
                     .reference = reference<silu_of>,
                     .samples = samples};

const OpDef silu_grad_def{.name = "silu_grad",
                          .summary = "Cotangent of the input of silu.",
                          .formula = "y = d · (σ + x σ (1 - σ)), σ = 1 / (1 + exp(-x))",
                          .inputs = std::vector<OperandSpec>{{"x", "…"}, {"d", "…"}},
                          .attrs = std::vector<AttrSpec>{},
                          .infer = silu_backward::infer,
                          .decompose = DecomposeFn(silu_backward::decompose),
                          .vjp = ThroughParts{},
                          .cost = cost<9>,
                          .reference = silu_backward::reference,
                          .samples = silu_backward::samples};

const OpDef tanh_def{.name = "tanh",
                     .summary = "Hyperbolic tangent.",
                     .formula = "y = tanh(x); matches torch.tanh",
                     .inputs = std::vector<OperandSpec>{{"x", "…"}},
                     .attrs = std::vector<AttrSpec>{},
                     .infer = infer,
                     .decompose = Primitive{},
                     .vjp = tanh_vjp,
                     .cost = cost<6>,
                     .reference = reference<tanh_of>,
                     .samples = samples};

Value gelu_slope(Builder& b, Value x) {
  const Value phi = scaled(b, exp(b, scaled(b, square(b, x), -0.5)), 0.39894228040143267794);  // 1/√(2π)
  const Value cumulative = scaled(b, shifted(b, erf(b, scaled(b, x, 0.70710678118654752440)), 1), 0.5);
  return add(b, cumulative, mul(b, x, phi));
}
Value gelu(Builder& b, Value x) { return b.op(gelu_def, {x}); }
Value sigmoid(Builder& b, Value x) { return b.op(sigmoid_def, {x}); }
Value silu(Builder& b, Value x) { return b.op(silu_def, {x}); }
Value tanh(Builder& b, Value x) { return b.op(tanh_def, {x}); }

}  // namespace espalier::ops
