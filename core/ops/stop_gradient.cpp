// stop_gradient: the same values, which no cotangent passes. Gradients are taken before passes run, and canonicalise drops it.

#include "core/ops/stop_gradient.h"

#include "core/ops/op_common.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  return {call.inputs[0]};
}

Cost cost(const OpCall& call) { return streaming_cost(call, 0); }

void reference(const OpCall&, std::span<const RefTensor> in, std::span<RefResult> out) {
  out[0].fill([&](int64_t i) { return in[0].data[static_cast<size_t>(i)]; });
}

std::vector<Sample> samples() { return {{.inputs = {f32({2, 3, 5, 7})}}, {.inputs = {f32({1})}}, {.inputs = {f32({})}}}; }

}  // namespace

const OpDef stop_gradient_def{.name = "stop_gradient",
                              .summary = "The same values; nothing before them is trained through them.",
                              .formula = "y = x, dx = 0; matches torch.Tensor.detach",
                              .inputs = std::vector<OperandSpec>{{"x", "…"}},
                              .attrs = std::vector<AttrSpec>{},
                              .infer = infer,
                              .decompose = Primitive{},
                              .vjp = StopsGradient{},
                              .cost = cost,
                              .reference = reference,
                              .samples = samples};

Value stop_gradient(Builder& b, Value x) { return b.op(stop_gradient_def, {x}); }

}  // namespace espalier::ops
