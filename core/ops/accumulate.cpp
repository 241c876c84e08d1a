// accumulate: gradients of several batches in one buffer.

#include "core/ops/accumulate.h"

#include "core/ops/op_common.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  need_shape(call, 1, call.inputs[0].shape, "the shape of sum");
  return {call.inputs[0]};
}

Cost cost(const OpCall& call) { return streaming_cost(call, 1); }

void reference(const OpCall&, std::span<const RefTensor> in, std::span<RefResult> out) {
  out[0].fill([&](int64_t i) { return in[0].data[static_cast<size_t>(i)] + in[1].data[static_cast<size_t>(i)]; });
}

std::vector<Sample> samples() {
  return {
      {.inputs = {f32({2, 3, 5}), f32({2, 3, 5})}}, {.inputs = {f32({1}), f32({1})}}, {.inputs = {f32({70001}), f32({70001})}}};
}

}  // namespace

const OpDef accumulate_def{.name = "accumulate",
                           .summary = "Adds to a state, in place.",
                           .formula = "sum += x; matches torch.Tensor.add_",
                           .inputs = std::vector<OperandSpec>{{"sum", "…"}, {"x", "…"}},
                           .attrs = std::vector<AttrSpec>{},
                           .infer = infer,
                           .decompose = Primitive{},
                           .vjp = NonDifferentiable{"it updates state in place"},
                           .cost = cost,
                           .reference = reference,
                           .samples = samples,
                           .aliases = {{0, 0}}};

Value accumulate(Builder& b, Value sum, Value x) { return b.op(accumulate_def, {sum, x}); }

}  // namespace espalier::ops
