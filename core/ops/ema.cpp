// ema: an exponential moving average of the weights.

#include "core/ops/ema.h"

#include "core/ops/op_common.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  need_shape(call, 1, call.inputs[0].shape, "the shape of average");
  need_shape(call, 2, {1}, "one decay for every element");
  return {call.inputs[0]};
}

Cost cost(const OpCall& call) { return streaming_cost(call, 3); }

void reference(const OpCall&, std::span<const RefTensor> in, std::span<RefResult> out) {
  const double *average = in[0].data.data(), *x = in[1].data.data(), decay = in[2].data[0];
  out[0].fill([&](int64_t i) { return x[i] + decay * (average[i] - x[i]); });
}

Sample sample(const Shape& shape) {
  return {.inputs = {f32(shape), f32(shape), f32({1})}, .fills = {Fill::kNormal, Fill::kNormal, Fill::kUnit}};
}

std::vector<Sample> samples() { return {sample({2, 3, 5}), sample({1}), sample({70001})}; }

}  // namespace

const OpDef ema_def{.name = "ema",
                    .summary = "Moves an average towards new values, in place.",
                    .formula = "average = decay · average + (1 - decay) · x; matches torch.lerp(x, average, decay)",
                    .inputs = std::vector<OperandSpec>{{"average", "…"}, {"x", "…"}, {"decay", "1"}},
                    .attrs = std::vector<AttrSpec>{},
                    .infer = infer,
                    .decompose = Primitive{},
                    .vjp = NonDifferentiable{"it updates state in place"},
                    .cost = cost,
                    .reference = reference,
                    .samples = samples,
                    .aliases = {{0, 0}}};

Value ema(Builder& b, Value average, Value x, Value decay) { return b.op(ema_def, {average, x, decay}); }

}  // namespace espalier::ops
