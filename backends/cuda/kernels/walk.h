#pragma once
// From the number of an element of a result to where its operands lie.

#include "backends/cuda/kernels/axes.h"
#include "backends/cuda/kernels/device.h"

namespace espalier::cuda::kernels {

template <int kOperands>
struct Offsets {
  int64_t of[kOperands] = {};
};

/// Of element `index` of the outermost `dims` dimensions. 32-bit divisions only, one a dimension.
template <int kOperands>
__device__ inline Offsets<kOperands> offsets(const Axes<kOperands>& axes, int dims, unsigned index) {
  Offsets<kOperands> at;
  for (int d = dims - 1; d >= 0; --d) {
    const auto extent = static_cast<unsigned>(axes.extent[d]);
    const unsigned next = index / extent, here = index - next * extent;
#pragma unroll
    for (int i = 0; i < kOperands; ++i) at.of[i] += here * axes.step[i][d];
    index = next;
  }
  return at;
}

}  // namespace espalier::cuda::kernels
