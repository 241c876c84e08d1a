#pragma once
// What the op files of this room share: refusals in one form, costs of memory traffic, the inner product of the
// reference kernels. Not for other rooms.

#include <cstdint>
#include <string>
#include <vector>

#include "core/ir/op_def.h"

namespace espalier::ops {

/// Throws VerifyError "[op] what".
[[noreturn]] void refuse(const OpCall& call, const std::string& what);
/// "x is f32[2,3]": operand `i` by its declared name, for messages.
std::string operand(const OpCall& call, size_t i);
/// Operand `i` must have as many dimensions as its declared shape has letters.
void need_rank(const OpCall& call, size_t i, int rank);
void need_rank_at_least(const OpCall& call, size_t i, int rank);
/// Every present operand must be of one floating-point dtype.
void need_one_floating_dtype(const OpCall& call);
/// Operand `i`, where present, must have exactly this shape; `why` follows: "bias is f32[3], needs [4]: one value per …".
void need_shape(const OpCall& call, size_t i, const Shape& shape, const std::string& why);
/// The attribute eps must be a number that is not negative.
void need_eps(const OpCall& call);
/// `axis` counted from the front; refuses one that is out of range for `rank`.
int normal_axis(const OpCall& call, int64_t axis, int rank);
/// Row-major strides in elements.
std::vector<int64_t> strides_of(const Shape& shape);

/// One result of `dtype` and `shape`; refuses more than 2^48 elements, so that no later product of extents overflows.
std::vector<TensorType> one_result(const OpCall& call, DType dtype, Shape shape);

/// A cost that reads every operand once and writes every result once, with `other` flops per result element.
Cost streaming_cost(const OpCall& call, double other_per_element);
/// Product of all extents but the last.
int64_t rows_of(const Shape& shape);

/// Σ a[i]·b[i] over four fixed partial sums: a function of its operands alone, whoever calls it.
inline double dot(const double* a, const double* b, int64_t n) {
  double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    s0 += a[i] * b[i];
    s1 += a[i + 1] * b[i + 1];
    s2 += a[i + 2] * b[i + 2];
    s3 += a[i + 3] * b[i + 3];
  }
  for (; i < n; ++i) s0 += a[i] * b[i];
  return (s0 + s1) + (s2 + s3);
}

}  // namespace espalier::ops
