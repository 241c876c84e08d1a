#pragma once
// Kernels over the rows of a matrix in which every thread makes its own pack of a row: f(row, i, pointers...) for i = 0, n, 2n, …
// below the width, n the numbers of a pack where packs divide the width, else 1.

#include "backends/cuda/kernels/math.h"

namespace espalier::cuda::kernels {

inline constexpr unsigned kRowThreads = 256;

/// One number where packs do not fit.
template <typename T>
struct Single {
  static constexpr int kCount = 1;
  T at[1];
};
template <typename P, typename T>
__device__ inline P load(const T* from) {
  return *reinterpret_cast<const P*>(from);
}
template <typename P, typename T>
__device__ inline void store(T* to, const P& pack) {
  *reinterpret_cast<P*>(to) = pack;
}

template <typename P, typename F, typename T, typename... In>
__global__ void __launch_bounds__(kRowThreads) rows_kernel(F f, int64_t packs, int64_t packs_of_row, const T* x, In... rest) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kRowThreads + threadIdx.x;
  if (at >= packs) return;
  const int64_t row = at / packs_of_row;
  f.template operator()<T, P>(row, (at - row * packs_of_row) * P::kCount, x, rest...);
}

template <typename F, typename T, typename... Rest>
void over_rows(Stream stream, F f, int64_t rows, int64_t width, const T* x, Rest... rest) {
  const auto go = [&](auto pack) {
    using P = decltype(pack);
    const int64_t packs_of_row = width / P::kCount, packs = rows * packs_of_row;
    if (packs == 0) return;
    launch(stream, dim3{static_cast<unsigned>((packs + kRowThreads - 1) / kRowThreads), 1, 1}, dim3{kRowThreads, 1, 1},
           rows_kernel<P, F, T, Rest...>, f, packs, packs_of_row, x, rest...);
  };
  if (by_packs<T>(width))
    go(Pack<T>{});
  else
    go(Single<T>{});
}

}  // namespace espalier::cuda::kernels
