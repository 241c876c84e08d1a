// One thread makes one pack of a row's result, so that value, gate and result are read and written 16 bytes at a time; rows that
// packs do not divide go by single numbers.

#include "backends/cuda/kernels/geglu.h"

#include "backends/cuda/kernels/rows.h"

namespace espalier::cuda::kernels {
namespace {

struct Forward {
  int64_t width;
  template <typename T, typename P>
  __device__ void operator()(int64_t row, int64_t i, const T* x, T* out) const {
    const P value = load<P>(x + row * 2 * width + i), gate = load<P>(x + row * 2 * width + width + i);
    P result;
#pragma unroll
    for (int k = 0; k < P::kCount; ++k) result.at[k] = narrow<T>(widen(value.at[k]) * gelu(widen(gate.at[k])));
    store(out + row * width + i, result);
  }
};

struct Backward {
  int64_t width;
  template <typename T, typename P>
  __device__ void operator()(int64_t row, int64_t i, const T* x, const T* d, T* out) const {
    const P value = load<P>(x + row * 2 * width + i), gate = load<P>(x + row * 2 * width + width + i);
    const P cotangent = load<P>(d + row * width + i);
    P of_value, of_gate;
#pragma unroll
    for (int k = 0; k < P::kCount; ++k) {
      const float v = widen(value.at[k]), g = widen(gate.at[k]), c = widen(cotangent.at[k]), share = normal_share(g);
      of_value.at[k] = narrow<T>(c * g * share);
      of_gate.at[k] = narrow<T>(c * v * (share + g * normal_density(g)));
    }
    store(out + row * 2 * width + i, of_value);
    store(out + row * 2 * width + width + i, of_gate);
  }
};

}  // namespace

void geglu(Stream stream, int32_t dtype, const void* x, void* out, int64_t rows, int64_t width) {
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    over_rows(stream, Forward{width}, rows, width, static_cast<const T*>(x), static_cast<T*>(out));
  });
}

void geglu_grad(Stream stream, int32_t dtype, const void* x, const void* d, void* out, int64_t rows, int64_t width) {
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    over_rows(stream, Backward{width}, rows, width, static_cast<const T*>(x), static_cast<const T*>(d), static_cast<T*>(out));
  });
}

}  // namespace espalier::cuda::kernels
