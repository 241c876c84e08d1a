// gelu, sigmoid, silu, silu_grad, tanh, vectorised.

#include "backends/cpu/kernels/map.h"

namespace espalier::cpu::kernels {

std::span<const Kernel> activation() {
  static constexpr Kernel kKernels[] = {
      {"gelu", "vector", accepts_f32, make_step<VectorMap<vgelu>>},
      {"sigmoid", "vector", accepts_f32, make_step<VectorMap<vsigmoid>>},
      {"silu", "vector", accepts_f32, make_step<VectorMap<vsilu>>},
      {"silu_grad", "vector", accepts_f32, make_step<VectorZip<vsilu_grad>>},
      {"tanh", "vector", accepts_f32, make_step<VectorMap<vtanh>>},
  };
  return kKernels;
}

}  // namespace espalier::cpu::kernels
