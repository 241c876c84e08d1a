#pragma once
// Sums and maxima of a block in a fixed order: within warps by shuffles, then over the warps' results. Every thread gets the
// result.

#include "backends/cuda/kernels/device.h"

namespace espalier::cuda::kernels {

struct Plus {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Larger {
  __device__ float operator()(float a, float b) const { return a != a || a > b ? a : b; }  // NaN wins
};

template <typename T, typename F>
__device__ inline T warp_reduce(T x, F f) {
  for (int reach = 16; reach > 0; reach /= 2) x = f(x, __shfl_xor_sync(0xffffffffu, x, reach));
  return x;
}

/// Of kThreads threads, a multiple of 32. `scratch`: shared, kThreads / 32 numbers, free to be written again after the next
/// barrier.
template <unsigned kThreads, typename T, typename F>
__device__ inline T block_reduce(T x, T* scratch, F f) {
  constexpr unsigned kWarps = kThreads / kWarpThreads;
  x = warp_reduce(x, f);
  __syncthreads();
  if (threadIdx.x % kWarpThreads == 0) scratch[threadIdx.x / kWarpThreads] = x;
  __syncthreads();
  T all = scratch[0];
  for (unsigned w = 1; w < kWarps; ++w) all = f(all, scratch[w]);
  return all;
}

}  // namespace espalier::cuda::kernels
