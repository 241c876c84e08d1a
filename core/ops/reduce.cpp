// reduce_max, reduce_mean, reduce_sum over any set of axes. The reference visits, for each result, the reduced
// positions in row-major order.

#include "core/ops/reduce.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/ops/elementwise_binary.h"
#include "core/ops/elementwise_unary.h"
#include "core/ops/movement.h"
#include "core/ops/op_common.h"
#include "core/ops/registry.h"
#include "core/ops/vjp_common.h"

namespace espalier::ops {
namespace {

/// For every dimension of x whether it is reduced.
std::vector<bool> reduced(const OpCall& call) {
  const int rank = call.inputs[0].shape.rank();
  const std::vector<int64_t>& axes = call.attrs.ints("axes");
  std::vector<bool> mask(static_cast<size_t>(rank), axes.empty());
  for (int64_t axis : axes) {
    const auto at = static_cast<size_t>(normal_axis(call, axis, rank));
    if (mask[at]) refuse(call, "axis " + std::to_string(axis) + " is given twice");
    mask[at] = true;
  }
  return mask;
}

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  const std::vector<bool> mask = reduced(call);
  std::vector<int64_t> dims;
  for (size_t i = 0; i < mask.size(); ++i) {
    if (!mask[i]) dims.push_back(call.inputs[0].shape.dims()[i]);
    if (mask[i] && call.attrs.b("keep_dims")) dims.push_back(1);
  }
  return {{call.inputs[0].dtype, Shape(std::move(dims))}};
}

Cost cost(const OpCall& call) {
  Cost cost = streaming_cost(call, 0);
  cost.other_flops = static_cast<double>(call.inputs[0].shape.elements());
  return cost;
}

/// Extents and strides in x of the dimensions with mask == wanted; `for_each` adds up offsets in row-major order.
struct Walk {
  Walk(const Shape& x, const std::vector<bool>& mask, bool wanted) {
    const std::vector<int64_t> all = strides_of(x);
    for (size_t i = 0; i < mask.size(); ++i)
      if (mask[i] == wanted) {
        extents.push_back(x.dims()[i]);
        strides.push_back(all[i]);
        count *= x.dims()[i];
      }
  }
  int64_t offset(int64_t flat) const {
    int64_t at = 0;
    for (size_t i = extents.size(); i-- > 0; flat /= extents[i]) at += flat % extents[i] * strides[i];
    return at;
  }
  std::vector<int64_t> extents, strides;
  int64_t count = 1;
};

enum class Kind { kMax, kMean, kSum };

template <Kind kKind>
void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const std::vector<bool> mask = reduced(call);
  const Walk kept(call.inputs[0].shape, mask, false), gone(call.inputs[0].shape, mask, true);
  std::vector<int64_t> offsets(static_cast<size_t>(gone.count));
  for (int64_t k = 0; k < gone.count; ++k) offsets[static_cast<size_t>(k)] = gone.offset(k);
  out[0].fill([&](int64_t i) {
    const double* x = in[0].data.data() + kept.offset(i);
    double result = kKind == Kind::kMax ? -std::numeric_limits<double>::infinity() : 0;
    for (int64_t offset : offsets) {
      if constexpr (kKind == Kind::kMax)
        result = std::isnan(result) || result > x[offset] ? result : x[offset];
      else
        result += x[offset];
    }
    return kKind == Kind::kMean ? result / static_cast<double>(gone.count) : result;
  });
}

/// `kept` (a result) with its reduced dimensions back, as extents of 1.
Value with_dims(Builder& b, const Primal& primal, Value kept) {
  std::vector<int64_t> dims = primal.call.inputs[0].shape.dims();
  const std::vector<bool> mask = reduced(primal.call);
  for (size_t i = 0; i < mask.size(); ++i)
    if (mask[i]) dims[i] = 1;
  return reshape(b, kept, Shape(std::move(dims)));
}

std::vector<Value> sum_vjp(Builder& b, const Primal& primal, Value d) {
  return {broadcast(b, with_dims(b, primal, d), primal.call.inputs[0].shape)};
}
std::vector<Value> mean_vjp(Builder& b, const Primal& primal, Value d) {
  const double each = static_cast<double>(b.shape(d).elements()) / static_cast<double>(primal.call.inputs[0].shape.elements());
  return sum_vjp(b, primal, scaled(b, d, each));
}
// Equal largest elements share the cotangent, as in torch.amax.
std::vector<Value> max_vjp(Builder& b, const Primal& primal, Value d) {
  const Value below = sign(b, sub(b, with_dims(b, primal, primal.result), primal.inputs[0]));
  const Value is_max = shifted(b, neg(b, below), 1);
  const Value count = reduce_sum(b, is_max, primal.call.attrs.ints("axes"), true);
  return {mul(b, is_max, div(b, with_dims(b, primal, d), count))};
}

Sample sample(const Shape& x, std::vector<int64_t> axes, bool keep_dims) {
  return {.inputs = {f32(x)}, .attrs = {{"axes", std::move(axes)}, {"keep_dims", keep_dims}}};
}

std::vector<Sample> samples() {
  return {sample({2, 3, 5, 7}, {}, false), sample({2, 3, 5, 7}, {1, -1}, false),  sample({2, 3, 5, 7}, {-2, 0}, true),
          sample({9}, {0}, false),         sample({4, 1, 6}, {1}, false),         sample({1}, {}, true),
          sample({}, {}, false),           sample({2, 16, 16, 33}, {1, 2}, true), sample({64, 130}, {-1}, false)};
}

OpDef reduction(std::string_view name, std::string_view summary, std::string_view formula, ReferenceFn reference, VjpFn vjp) {
  return {.name = name,
          .summary = summary,
          .formula = formula,
          .inputs = std::vector<OperandSpec>{{"x", "…"}},
          .attrs = std::vector<AttrSpec>{{"axes", std::vector<int64_t>{},
                                          "dimensions to reduce; negative counts from the end, empty: all"},
                                         {"keep_dims", false, "reduced dimensions stay, with extent 1"}},
          .infer = infer,
          .decompose = Primitive{},
          .vjp = vjp,
          .cost = cost,
          .reference = reference,
          .samples = samples};
}

Value emit(Builder& b, const OpDef& def, Value x, std::vector<int64_t> axes, bool keep_dims) {
  return b.op(def, {x}, {{"axes", std::move(axes)}, {"keep_dims", keep_dims}});
}

}  // namespace

const OpDef reduce_max_def = reduction("reduce_max", "Largest element over some dimensions; NaN wins.",
                                       "y = max x; matches torch.amax", reference<Kind::kMax>, max_vjp);
const OpDef reduce_mean_def =
    reduction("reduce_mean", "Mean over some dimensions.", "y = Σ x / n; matches torch.mean", reference<Kind::kMean>, mean_vjp);
const OpDef reduce_sum_def =
    reduction("reduce_sum", "Sum over some dimensions.", "y = Σ x; matches torch.sum", reference<Kind::kSum>, sum_vjp);

Value reduce_sum(Builder& b, Value x, std::vector<int64_t> axes, bool keep_dims) {
  return emit(b, reduce_sum_def, x, std::move(axes), keep_dims);
}
Value reduce_mean(Builder& b, Value x, std::vector<int64_t> axes, bool keep_dims) {
  return emit(b, reduce_mean_def, x, std::move(axes), keep_dims);
}
Value reduce_max(Builder& b, Value x, std::vector<int64_t> axes, bool keep_dims) {
  return emit(b, reduce_max_def, x, std::move(axes), keep_dims);
}

}  // namespace espalier::ops
