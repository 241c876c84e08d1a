#pragma once
// The words of CUDA C++ that kernels use, on the host. Included by kernels/device.h alone.

#include <cmath>

#include "backends/cuda/emulate/fibers.h"

// NOLINTBEGIN(bugprone-reserved-identifier, bugprone-macro-parentheses): the names are CUDA's, and a type stands alone
#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)

using dim3 = espalier::cuda::emulate::Extent3;

#define threadIdx (::espalier::cuda::emulate::place.thread)
#define blockIdx (::espalier::cuda::emulate::place.block)
#define blockDim (::espalier::cuda::emulate::place.block_extent)
#define gridDim (::espalier::cuda::emulate::place.grid_extent)

#define __syncthreads() ::espalier::cuda::emulate::block_barrier(__FILE__, __LINE__)
#define __shfl_xor_sync(mask, value, lanes) ::espalier::cuda::emulate::shuffle_xor(__FILE__, __LINE__, mask, value, lanes)

/// An array that the threads of a block share.
#define ESP_SHARED(type, name, count) \
  static const char name##_slot = 0;  \
  type* const name = static_cast<type*>(::espalier::cuda::emulate::shared(&name##_slot, sizeof(type) * (count)))
// NOLINTEND(bugprone-reserved-identifier, bugprone-macro-parentheses)

namespace espalier::cuda::emulate {

template <typename T>
T shuffle_xor(const char* file, int line, unsigned, T value, unsigned lanes) {
  exchange(file, line, &value, sizeof value, lane() ^ lanes);
  return value;
}

}  // namespace espalier::cuda::emulate

// Device functions that the host's libraries spell otherwise.
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
