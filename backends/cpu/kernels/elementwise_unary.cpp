// One function on every element. Those without a vector form call the C library.

#include <cmath>

#include "backends/cpu/kernels/map.h"

namespace espalier::cpu::kernels {
namespace {

Vec negate(Vec x) { return -x; }
Vec square(Vec x) { return x * x; }
float cosine(float x) { return std::cos(x); }
float sign(float x) { return x > 0 ? 1.0f : x < 0 ? -1.0f : x; }
float sine(float x) { return std::sin(x); }
float logarithm(float x) { return std::log(x); }
float square_root(float x) { return std::sqrt(x); }
float inverse_square_root(float x) { return 1.0f / std::sqrt(x); }

}  // namespace

std::span<const Kernel> elementwise_unary() {
  static constexpr Kernel kKernels[] = {
      {"abs", "vector", accepts_f32, make_step<VectorMap<vabs>>},
      {"cos", "simple", accepts_f32, make_step<ScalarMap<cosine>>},
      {"erf", "vector", accepts_f32, make_step<VectorMap<verf>>},
      {"exp", "vector", accepts_f32, make_step<VectorMap<vexp>>},
      {"log", "simple", accepts_f32, make_step<ScalarMap<logarithm>>},
      {"neg", "vector", accepts_f32, make_step<VectorMap<negate>>},
      {"rsqrt", "simple", accepts_f32, make_step<ScalarMap<inverse_square_root>>},
      {"sign", "simple", accepts_f32, make_step<ScalarMap<sign>>},
      {"sin", "simple", accepts_f32, make_step<ScalarMap<sine>>},
      {"sqrt", "simple", accepts_f32, make_step<ScalarMap<square_root>>},
      {"square", "vector", accepts_f32, make_step<VectorMap<square>>},
  };
  return kKernels;
}

}  // namespace espalier::cpu::kernels
