#pragma once
// Runs of N numbers of which the last of a tensor may not be whole.

#include "backends/cuda/kernels/map.h"

namespace espalier::cuda::kernels {

/// The run at `from`, of which `left` numbers are there; zeros for the others.
template <int N, typename T>
__device__ inline Run<T, N> load_run(const T* from, int64_t left) {
  if (left >= N) return *reinterpret_cast<const Run<T, N>*>(from);
  Run<T, N> run;
#pragma unroll
  for (int k = 0; k < N; ++k) run.at[k] = k < left ? from[k] : T{};
  return run;
}
template <int N, typename T>
__device__ inline void store_run(T* to, const Run<T, N>& run, int64_t left) {
  if (left >= N) {
    *reinterpret_cast<Run<T, N>*>(to) = run;
  } else {
#pragma unroll
    for (int k = 0; k < N; ++k)
      if (k < left) to[k] = run.at[k];
  }
}

}  // namespace espalier::cuda::kernels
