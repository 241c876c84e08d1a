// Frequencies and angles are rounded to f32 where PyTorch rounds them; functions are taken in double. A handful of threads.

#include "backends/cuda/kernels/timestep_embedding.h"

#include "backends/cuda/kernels/device.h"

namespace espalier::cuda::kernels {
namespace {

constexpr unsigned kThreads = 128;

template <typename T>
__global__ void __launch_bounds__(kThreads)
    embedding_kernel(const T* t, float* out, int64_t count, int dim, bool cosine_first, float slope, float divisor) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= count) return;
  const int half = dim / 2, column = static_cast<int>(at % dim), i = column % (half > 0 ? half : 1);
  float value = 0;
  if (column < 2 * half) {
    const auto frequency = static_cast<float>(exp(static_cast<double>(slope * static_cast<float>(i) / divisor)));
    const double angle = static_cast<double>(widen(t[at / dim]) * frequency);
    value = static_cast<float>((column < half) == cosine_first ? cos(angle) : sin(angle));
  }
  out[at] = value;
}

}  // namespace

void timestep_embedding(Stream stream, int32_t dtype, const void* t, float* out, int64_t n, int64_t dim, bool cosine_first,
                        float slope, float divisor) {
  const int64_t count = n * dim;
  if (count == 0) return;
  with_type(dtype, [&](auto type) {
    using T = decltype(type);
    launch(stream, dim3{static_cast<unsigned>((count + kThreads - 1) / kThreads), 1, 1}, dim3{kThreads, 1, 1},
           embedding_kernel<T>, static_cast<const T*>(t), out, count, static_cast<int>(dim), cosine_first, slope, divisor);
  });
}

}  // namespace espalier::cuda::kernels
