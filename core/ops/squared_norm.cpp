// squared_norm: Σ x². One op rather than a square and a sum, because a gradient's squares are as large as the gradient.

#include "core/ops/squared_norm.h"

#include "core/ops/elementwise_binary.h"
#include "core/ops/op_common.h"
#include "core/ops/registry.h"
#include "core/ops/vjp_common.h"

namespace espalier::ops {
namespace {

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  return {{call.inputs[0].dtype, Shape({})}};
}

Cost cost(const OpCall& call) {
  Cost cost = streaming_cost(call, 0);
  cost.other_flops = 2 * static_cast<double>(call.inputs[0].shape.elements());
  return cost;
}

void reference(const OpCall&, std::span<const RefTensor> in, std::span<RefResult> out) {
  const std::span<const double> x = in[0].data;
  out[0].fill([&](int64_t) { return dot(x.data(), x.data(), static_cast<int64_t>(x.size())); });
}

std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) {
  const Value x = primal.inputs[0];
  return {mul(b, scaled(b, x, 2), d)};
}

std::vector<Sample> samples() {
  return {{.inputs = {f32({2, 3, 5, 7})}}, {.inputs = {f32({1})}}, {.inputs = {f32({})}}, {.inputs = {f32({300, 301})}}};
}

}  // namespace

const OpDef squared_norm_def{.name = "squared_norm",
                             .summary = "Sum of the squares of all elements.",
                             .formula = "y = Σ x²; matches torch.linalg.vector_norm(x) ** 2",
                             .inputs = std::vector<OperandSpec>{{"x", "…"}},
                             .attrs = std::vector<AttrSpec>{},
                             .infer = infer,
                             .decompose = Primitive{},
                             .vjp = vjp,
                             .cost = cost,
                             .reference = reference,
                             .samples = samples};

Value squared_norm(Builder& b, Value x) { return b.op(squared_norm_def, {x}); }

}  // namespace espalier::ops
