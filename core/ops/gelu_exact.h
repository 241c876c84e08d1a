#pragma once
#include <cmath>

namespace espalier::ops {
/// x Φ(x). By erfc, whose relative error stays small far out on the negative side where 1 + erf cancels.
inline double gelu_exact(double x) { return 0.5 * x * std::erfc(-x * 0.70710678118654752440); }
/// Its slope, Φ(x) + x φ(x).
inline double gelu_slope_exact(double x) {
  return 0.5 * std::erfc(-x * 0.70710678118654752440) + x * 0.39894228040143267794 * std::exp(-0.5 * x * x);
}
}  // namespace espalier::ops
