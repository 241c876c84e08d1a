// softmax over the last dimension. The reference keeps the row maximum out of the exponent, as every kernel must.

#include "core/ops/softmax.h"

#include <algorithm>
#include <cmath>

#include "core/ops/elementwise_binary.h"
#include "core/ops/op_common.h"
#include "core/ops/reduce.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  need_rank_at_least(call, 0, 1);
  return {call.inputs[0]};
}

Cost cost(const OpCall& call) {
  const TensorType& x = call.inputs[0];
  return {.other_flops = 5.0 * static_cast<double>(x.shape.elements()),
          .bytes_read = static_cast<double>(x.bytes()),
          .bytes_written = static_cast<double>(x.bytes())};
}

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const int64_t width = call.inputs[0].shape.back();
  int64_t row_known = -1;
  double maximum = 0, total = 0;
  out[0].fill([&](int64_t index) {
    const int64_t row = index / width;
    const std::span<const double> x = in[0].data.subspan(static_cast<size_t>(row * width), static_cast<size_t>(width));
    if (row != row_known) {
      maximum = *std::max_element(x.begin(), x.end());
      total = 0;
      for (double v : x) total += std::exp(v - maximum);
      row_known = row;
    }
    return std::exp(x[static_cast<size_t>(index % width)] - maximum) / total;
  });
}

std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) {
  const Value along = reduce_sum(b, mul(b, d, primal.result), {-1}, true);
  return {mul(b, primal.result, sub(b, d, along))};
}

std::vector<Sample> samples() {
  return {{.inputs = {f32({2, 3, 7})}, .attrs = {}},
          {.inputs = {f32({5, 1})}, .attrs = {}},
          {.inputs = {f32({3, 333})}, .attrs = {}}};
}

}  // namespace

const OpDef softmax_def{.name = "softmax",
                        .summary = "Normalised exponentials over the last dimension.",
                        .formula = "y = exp(x - max x) / sum exp(x - max x); matches torch.nn.functional.softmax(x, -1)",
                        .inputs = std::vector<OperandSpec>{{"x", "…,C"}},
                        .attrs = std::vector<AttrSpec>{},
                        .infer = infer,
                        .decompose = Primitive{},
                        .vjp = vjp,
                        .cost = cost,
                        .reference = reference,
                        .samples = samples};

Value softmax(Builder& b, Value x) { return b.op(softmax_def, {x}); }

}  // namespace espalier::ops
