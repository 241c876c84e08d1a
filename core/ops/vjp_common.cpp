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

namespace {

/// The operands of a normalisation in the type that its statistics are taken in.
struct Wide {
  Wide(Builder& builder, const Normalisation& of) : b(builder), norm(of), dtype(b.type(norm.d).dtype) {
    // Squares of f16 overflow, and a small eps rounds to nothing.
    wide = dtype == DType::kF64 ? dtype : DType::kF32;
    d = widened(norm.d);
    x = widened(norm.x);
    const Value seen = reshape(b, x, norm.view);
    const Value centred = sub(b, seen, mean(seen));
    scale = rsqrt(b, shifted(b, mean(square(b, centred)), norm.eps));
    normal = mul(b, centred, scale);
  }
  Value widened(Value v) const { return b.type(v).dtype == wide ? v : cast(b, v, wide); }
  Value narrowed(Value v) const { return wide == dtype ? v : cast(b, v, dtype); }
  Value mean(Value v) const { return reduce_mean(b, v, norm.axes, true); }

  Builder& b;
  const Normalisation& norm;
  DType dtype, wide;
  Value d, x, scale, normal;
};

}  // namespace

Value norm_grad_input(Builder& b, const Normalisation& norm) {
  const Wide w(b, norm);
  const Value d_normal = reshape(b, mul(b, w.d, w.widened(norm.weight)), norm.view);
  const Value along = mul(b, w.normal, w.mean(mul(b, d_normal, w.normal)));
  const Value d_x = mul(b, sub(b, sub(b, d_normal, w.mean(d_normal)), along), w.scale);
  return w.narrowed(reshape(b, d_x, b.shape(norm.x)));
}

Value norm_grad_affine(Builder& b, const Normalisation& norm) {
  const Wide w(b, norm);
  const Shape row{1, b.shape(norm.x).back()};
  const Value d_weight = reshape(b, sum_per_channel(b, mul(b, w.d, reshape(b, w.normal, b.shape(norm.x)))), row);
  const Value d_bias = reshape(b, sum_per_channel(b, w.d), row);
  return w.narrowed(concat(b, {d_weight, d_bias}, 0));
}

}  // namespace espalier::ops
