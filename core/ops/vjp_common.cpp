#include "core/ops/vjp_common.h"

#include "core/ops/cast.h"
#include "core/ops/elementwise_binary.h"
#include "core/ops/elementwise_unary.h"
#include "core/ops/movement.h"
#include "core/ops/op_common.h"
#include "core/ops/reduce.h"

namespace espalier::ops {
namespace {

Value number_like(Builder& b, Value x, double number) { return b.constant({b.type(x).dtype, Shape{}}, {number}); }

// Sum over every dimension but the last.
Value sum_per_channel(Builder& b, Value x) {
  const int64_t channels = b.shape(x).back();
  return reduce_sum(b, reshape(b, x, {rows_of(b.shape(x)), channels}), {0});
}

}  // namespace

Value filled(Builder& b, const TensorType& type, double number) {
  return broadcast(b, b.constant({type.dtype, Shape{}}, {number}), type.shape);
}

Value scaled(Builder& b, Value x, double number) { return mul(b, x, number_like(b, x, number)); }

Value shifted(Builder& b, Value x, double number) { return add(b, x, number_like(b, x, number)); }

Value sum_to(Builder& b, Value x, const Shape& shape) {
  const Shape from = b.shape(x);
  if (from == shape) return x;
  const int extra = from.rank() - shape.rank();
  std::vector<int64_t> axes;
  for (int i = 0; i < from.rank(); ++i)
    if (i < extra || (shape[i - extra] == 1 && from[i] != 1)) axes.push_back(i);
  return reshape(b, axes.empty() ? x : reduce_sum(b, x, axes), shape);
}

std::vector<Value> norm_vjp(Builder& b, const Primal& primal, Value d, const Shape& view, const std::vector<int64_t>& axes) {
  // Statistics of narrow types are taken in f32: squares of f16 overflow, and a small eps rounds to nothing.
  const DType dtype = b.type(d).dtype, wide = dtype == DType::kF64 ? dtype : DType::kF32;
  const auto widened = [&](Value v) { return b.type(v).dtype == wide ? v : cast(b, v, wide); };
  const auto narrowed = [&](Value v) { return wide == dtype ? v : cast(b, v, dtype); };
  const Value x = widened(primal.inputs[0]), weight = widened(primal.inputs[1]);
  d = widened(d);
  const Shape shape = b.shape(x);
  const auto mean = [&](Value v) { return reduce_mean(b, v, axes, true); };
  const Value seen = reshape(b, x, view);
  const Value centred = sub(b, seen, mean(seen));
  const Value variance = mean(square(b, centred));
  const Value scale = rsqrt(b, shifted(b, variance, primal.call.attrs.f("eps")));
  const Value normal = mul(b, centred, scale);

  const Value d_weight = sum_per_channel(b, mul(b, d, reshape(b, normal, shape)));
  const Value d_bias = sum_per_channel(b, d);
  const Value d_normal = reshape(b, mul(b, d, weight), view);
  const Value along = mul(b, normal, mean(mul(b, d_normal, normal)));
  const Value d_x = mul(b, sub(b, sub(b, d_normal, mean(d_normal)), along), scale);
  return {narrowed(reshape(b, d_x, shape)), narrowed(d_weight), narrowed(d_bias)};
}

}  // namespace espalier::ops
