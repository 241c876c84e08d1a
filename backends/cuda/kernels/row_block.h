#pragma once
// A block of threads for each row: a thread reads its packs of the row as often as the formula needs, from the caches but the
// first time. Sums over the row are the block's.

#include "backends/cuda/kernels/block_reduce.h"
#include "backends/cuda/kernels/rows.h"

namespace espalier::cuda::kernels {

inline constexpr unsigned kBlockRow = 128;

/// f(column, value) for every number of this thread's packs of `row`.
template <typename P, typename T, typename F>
__device__ inline void for_row(const T* row, int width, F f) {
  for (int i = static_cast<int>(threadIdx.x) * P::kCount; i < width; i += static_cast<int>(kBlockRow) * P::kCount) {
    const P pack = load<P>(row + i);
#pragma unroll
    for (int k = 0; k < P::kCount; ++k) f(i + k, widen(pack.at[k]));
  }
}
/// out[column] = f(column, value) by packs.
template <typename P, typename T, typename F>
__device__ inline void map_row(const T* row, T* out, int width, F f) {
  for (int i = static_cast<int>(threadIdx.x) * P::kCount; i < width; i += static_cast<int>(kBlockRow) * P::kCount) {
    P pack = load<P>(row + i);
#pragma unroll
    for (int k = 0; k < P::kCount; ++k) pack.at[k] = narrow<T>(f(i + k, widen(pack.at[k])));
    store(out + i, pack);
  }
}

struct Moments {
  float mean, rstd;
};
/// The mean first, then squares of what is left of it: nothing cancels.
template <typename P, typename T>
__device__ inline Moments moments_of_row(const T* row, int width, float eps, float* scratch) {
  float sum = 0, squares = 0;
  for_row<P>(row, width, [&](int, float x) { sum += x; });
  const float mean = block_reduce<kBlockRow>(sum, scratch, Plus{}) / static_cast<float>(width);
  for_row<P>(row, width, [&](int, float x) { squares += (x - mean) * (x - mean); });
  const float variance = block_reduce<kBlockRow>(squares, scratch, Plus{}) / static_cast<float>(width);
  return {mean, 1.0f / sqrtf(variance + eps)};
}

/// One block a row; `kernel` is for rows that packs divide, `single` for others.
template <typename T, typename... P, typename... A>
void launch_rows(Stream stream, int64_t rows, int64_t width, void (*by_pack)(P...), void (*by_single)(P...), A... args) {
  if (rows * width == 0) return;
  launch(stream, dim3{static_cast<unsigned>(rows), 1, 1}, dim3{kBlockRow, 1, 1}, by_packs<T>(width) ? by_pack : by_single,
         args...);
}

}  // namespace espalier::cuda::kernels
