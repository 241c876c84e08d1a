// gate: lets a removable unit through by a factor. A factor of exactly zero yields x itself even where y is not finite,
// because a backend may then leave out the calls that make y.

#include "core/ops/gate.h"

#include "core/ops/cast.h"
#include "core/ops/elementwise_binary.h"
#include "core/ops/movement.h"
#include "core/ops/op_common.h"
#include "core/ops/reduce.h"
#include "core/ops/registry.h"
#include "core/ops/vjp_common.h"

namespace espalier::ops {
namespace {

std::vector<TensorType> infer(const OpCall& call) {
  for (size_t i : {0, 1})
    if (!is_floating(call.inputs[i].dtype)) refuse(call, operand(call, i) + "; it must be floating point");
  if (call.inputs[1].dtype != call.inputs[0].dtype)
    refuse(call, operand(call, 1) + " but " + operand(call, 0) + "; they must have one dtype");
  if (call.inputs[2].dtype != DType::kF32) refuse(call, operand(call, 2) + "; gates are f32 whatever x is");
  need_rank(call, 2, 1);
  need_shape(call, 1, call.inputs[0].shape, "the shape of x");
  const int64_t index = call.attrs.i("index"), count = call.inputs[2].shape[0];
  if (index < 0 || index >= count)
    refuse(call, "index " + std::to_string(index) + " is out of range for " + std::to_string(count) + " gates");
  return {call.inputs[0]};
}

Cost cost(const OpCall& call) { return streaming_cost(call, 3); }

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const double gate = in[2].data[static_cast<size_t>(call.attrs.i("index"))];
  const double *x = in[0].data.data(), *y = in[1].data.data();
  out[0].fill([&](int64_t i) { return gate == 0 ? x[i] : x[i] + gate * (y[i] - x[i]); });
}

// The gate's own cotangent is its unit's score: how much the loss would change were the unit let through more. It reads y,
// which must be finite for it, also where the gate is shut.
std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) {
  const DType dtype = b.type(d).dtype;
  const int64_t index = primal.call.attrs.i("index"), count = primal.call.inputs[2].shape[0];
  const Value gate = cast(b, reshape(b, slice(b, primal.inputs[2], 0, index, index + 1), {}), dtype);
  const Value d_y = mul(b, d, gate);
  const Value change = mul(b, d, sub(b, primal.inputs[1], primal.inputs[0]));
  std::vector<Value> d_gates;
  if (index > 0) d_gates.push_back(filled(b, f32({index}), 0));
  d_gates.push_back(reshape(b, reduce_sum(b, cast(b, change, DType::kF32), {}), {1}));
  if (index + 1 < count) d_gates.push_back(filled(b, f32({count - index - 1}), 0));
  return {sub(b, d, d_y), d_y, concat(b, d_gates, 0)};
}

Sample sample(const Shape& shape, int64_t gates, int64_t index) {
  return {.inputs = {f32(shape), f32(shape), f32({gates})},
          .attrs = {{"index", index}},
          .fills = {Fill::kNormal, Fill::kNormal, Fill::kUnit}};
}

std::vector<Sample> samples() {
  return {sample({2, 3, 5}, 4, 2), sample({1}, 1, 0), sample({2, 8, 8, 64}, 70, 69), sample({2, 77, 32}, 3, 0)};
}

}  // namespace

const OpDef gate_def{.name = "gate",
                     .summary = "A unit gate: the input of a removable unit, moved towards its output by a factor.",
                     .formula = "r = x + g (y - x) with g = gates[index]; x itself where g is zero",
                     .inputs = std::vector<OperandSpec>{{"x", "…"}, {"y", "…"}, {"gates", "U"}},
                     .attrs = std::vector<AttrSpec>{{"index", int64_t{0}, "which of the gates", true}},
                     .infer = infer,
                     .decompose = Primitive{},
                     .vjp = vjp,
                     .cost = cost,
                     .reference = reference,
                     .samples = samples};

Value gate(Builder& b, Value x, Value y, Value gates, int64_t index) { return b.op(gate_def, {x, y, gates}, {{"index", index}}); }

}  // namespace espalier::ops
