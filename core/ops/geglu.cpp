// geglu: gated gelu over the two halves of the last dimension.

#include "core/ops/geglu.h"

#include "core/ops/activation.h"
#include "core/ops/elementwise_binary.h"
#include "core/ops/gelu_exact.h"
#include "core/ops/movement.h"
#include "core/ops/op_common.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  need_rank_at_least(call, 0, 1);
  std::vector<int64_t> dims = call.inputs[0].shape.dims();
  if (dims.back() % 2 != 0) refuse(call, "x has " + std::to_string(dims.back()) + " channels, needs an even number");
  dims.back() /= 2;
  return {{call.inputs[0].dtype, Shape(std::move(dims))}};
}

Cost cost(const OpCall& call) { return streaming_cost(call, 11); }

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const int64_t half = call.inputs[0].shape.back() / 2;
  const double* x = in[0].data.data();
  out[0].fill([&](int64_t i) {
    const double* row = x + i / half * 2 * half;
    return row[i % half] * gelu_exact(row[i % half + half]);
  });
}

Value decompose(Builder& b, const OpCall& call, std::span<const Value> in) {
  const int64_t half = call.inputs[0].shape.back() / 2;
  // Named one by one: the order in which nested calls emit nodes would be the compiler's choice.
  const Value kept = slice(b, in[0], -1, 0, half);
  const Value gate = slice(b, in[0], -1, half, 2 * half);
  return mul(b, kept, gelu(b, gate));
}

std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) { return {b.op(geglu_grad_def, {primal.inputs[0], d})}; }

std::vector<Sample> samples() {
  return {{.inputs = {f32({2, 3, 10})}}, {.inputs = {f32({1, 2})}}, {.inputs = {f32({6})}}, {.inputs = {f32({2, 77, 256})}}};
}

namespace backward {

std::vector<TensorType> infer(const OpCall& call) {
  const TensorType half = ops::infer(call)[0];
  need_shape(call, 1, half.shape, "the shape of geglu(x)");
  return {call.inputs[0]};
}

Cost cost(const OpCall& call) { return streaming_cost(call, 12); }

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const int64_t half = call.inputs[0].shape.back() / 2;
  out[0].fill([&](int64_t i) {
    const int64_t row = i / (2 * half), c = i % (2 * half) % half;
    const double *x = in[0].data.data() + row * 2 * half, d = in[1].data[static_cast<size_t>(row * half + c)];
    return i % (2 * half) < half ? d * gelu_exact(x[half + c]) : d * x[c] * gelu_slope_exact(x[half + c]);
  });
}

Value decompose(Builder& b, const OpCall& call, std::span<const Value> in) {
  const int64_t half = call.inputs[1].shape.back();
  const Value kept = slice(b, in[0], -1, 0, half);
  const Value gate = slice(b, in[0], -1, half, 2 * half);
  const Value d_kept = mul(b, in[1], gelu(b, gate));
  const Value d_gate = mul(b, mul(b, in[1], kept), gelu_slope(b, gate));
  return concat(b, {d_kept, d_gate}, -1);
}

std::vector<Sample> samples() {
  return {{.inputs = {f32({2, 3, 10}), f32({2, 3, 5})}},
          {.inputs = {f32({1, 2}), f32({1, 1})}},
          {.inputs = {f32({6}), f32({3})}},
          {.inputs = {f32({2, 77, 256}), f32({2, 77, 128})}}};
}

}  // namespace backward

}  // namespace

const OpDef geglu_def{.name = "geglu",
                      .summary = "First half of the channels times the gelu of the second half.",
                      .formula = "y = x[…,:K] · gelu(x[…,K:]); matches diffusers.models.activations.GEGLU after its projection",
                      .inputs = std::vector<OperandSpec>{{"x", "…,2K"}},
                      .attrs = std::vector<AttrSpec>{},
                      .infer = infer,
                      .decompose = DecomposeFn(decompose),
                      .vjp = vjp,
                      .cost = cost,
                      .reference = reference,
                      .samples = samples};

const OpDef geglu_grad_def{.name = "geglu_grad",
                           .summary = "Cotangent of the input of geglu.",
                           .formula = "y[…,:K] = d · gelu(x[…,K:]), y[…,K:] = d · x[…,:K] · gelu'(x[…,K:])",
                           .inputs = std::vector<OperandSpec>{{"x", "…,2K"}, {"d", "…,K"}},
                           .attrs = std::vector<AttrSpec>{},
                           .infer = backward::infer,
                           .decompose = DecomposeFn(backward::decompose),
                           .vjp = ThroughParts{},
                           .cost = backward::cost,
                           .reference = backward::reference,
                           .samples = backward::samples};

Value geglu(Builder& b, Value x) { return b.op(geglu_def, {x}); }

}  // namespace espalier::ops
