// cast: another element type. The rounding itself is core/ops/rounding.

#include "core/ops/cast.h"

#include "core/ops/op_common.h"
#include "core/ops/registry.h"
#include "core/ops/rounding.h"

namespace espalier::ops {
namespace {

DType target(const OpCall& call) {
  const std::string& name = call.attrs.s("to");
  const std::optional<DType> to = parse_dtype(name);
  if (!to || *to == DType::kNone) refuse(call, "unknown dtype '" + name + "'; known: f32, f16, bf16, f64, i32, i64, u8, bool");
  return *to;
}

std::vector<TensorType> infer(const OpCall& call) { return {{target(call), call.inputs[0].shape}}; }

Cost cost(const OpCall& call) { return streaming_cost(call, 1); }

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const DType to = target(call);
  const std::span<const double> x = in[0].data;
  out[0].fill([&](int64_t i) { return round_to(to, x[static_cast<size_t>(i)]); });
}

std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) {
  const DType from = primal.call.inputs[0].dtype;
  return {is_floating(from) ? cast(b, d, from) : Value{}};
}

Sample sample(DType from, const char* to, const Shape& shape) {
  return {.inputs = {{from, shape}}, .attrs = {{"to", std::string(to)}}};
}

std::vector<Sample> samples() {
  return {sample(DType::kF32, "bf16", {2, 3, 7}), sample(DType::kF32, "f16", {5, 1}),     sample(DType::kF32, "f32", {3}),
          sample(DType::kF16, "f32", {4, 5}),     sample(DType::kBF16, "f32", {1, 33}),   sample(DType::kF32, "i64", {17}),
          sample(DType::kF32, "f64", {}),         sample(DType::kF32, "bf16", {64, 130}), sample(DType::kF32, "bool", {3, 3})};
}

}  // namespace

const OpDef cast_def{.name = "cast",
                     .summary = "The same values in another element type.",
                     .formula = "y = x rounded to nearest even (toward zero for integers); matches torch.Tensor.to",
                     .inputs = std::vector<OperandSpec>{{"x", "…"}},
                     .attrs = std::vector<AttrSpec>{{"to", std::string(), "name of the result's dtype", true}},
                     .infer = infer,
                     .decompose = Primitive{},
                     .vjp = vjp,
                     .cost = cost,
                     .reference = reference,
                     .samples = samples};

Value cast(Builder& b, Value x, DType to) { return b.op(cast_def, {x}, {{"to", std::string(name_of(to))}}); }

}  // namespace espalier::ops
