#include "core/ops/rounding.h"

#include <cmath>
#include <limits>

namespace espalier::ops {
namespace {

// A binary format is its stored mantissa bits, its smallest normal exponent and its largest exponent. The step between
// neighbours around `value` is a power of two, so that scaling by it is exact and one rounding remains.
double round_binary(double value, int mantissa_bits, int min_exponent, int max_exponent) {
  if (value == 0 || !std::isfinite(value)) return value;
  const int exponent = std::max(std::ilogb(value), min_exponent);
  const int step = exponent - mantissa_bits;
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(value, -step)), step);
  if (std::fabs(rounded) >= std::ldexp(1.0, max_exponent + 1))
    return std::copysign(std::numeric_limits<double>::infinity(), value);
  return rounded;
}

}  // namespace

double round_to(DType dtype, double value) {
  switch (dtype) {
    case DType::kF32:
      return static_cast<double>(static_cast<float>(value));
    case DType::kF16:
      return round_binary(value, 10, -14, 15);
    case DType::kBF16:
      return round_binary(value, 7, -126, 127);
    case DType::kI32:
    case DType::kI64:
    case DType::kU8:
      return std::trunc(value);
    case DType::kBool:
      return value != 0 ? 1 : 0;
    case DType::kF64:
    case DType::kNone:
      break;
  }
  return value;
}

}  // namespace espalier::ops
