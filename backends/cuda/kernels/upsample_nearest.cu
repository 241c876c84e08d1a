// Rows are pixels, so that channels move by packs; the gradient adds the copies of a pixel in the order in which they lie.

#include "backends/cuda/kernels/movement.h"
#include "backends/cuda/kernels/rows.h"

namespace espalier::cuda::kernels {
namespace {

struct Extents {
  unsigned h, w, height, width, c;
};

struct Forward {
  Extents e;
  template <typename T, typename P>
  __device__ void operator()(int64_t row, int64_t i, const T* x, T* out) const {
    const auto pixel = static_cast<unsigned>(row);
    const unsigned column = pixel % e.width, line = pixel / e.width % e.height, image = pixel / (e.width * e.height);
    const int64_t from = (static_cast<int64_t>(image) * e.h + static_cast<uint64_t>(line) * e.h / e.height) * e.w +
                         static_cast<int64_t>(static_cast<uint64_t>(column) * e.w / e.width);
    store(out + row * e.c + i, load<P>(x + from * e.c + i));
  }
};

struct Backward {
  Extents e;
  /// First of the `many` places that copy place `from` of `few`.
  __device__ static unsigned first(unsigned from, unsigned few, unsigned many) {
    return static_cast<unsigned>((static_cast<uint64_t>(from) * many + few - 1) / few);
  }
  template <typename T, typename P>
  __device__ void operator()(int64_t row, int64_t i, const T* d, T* out) const {
    const auto pixel = static_cast<unsigned>(row);
    const unsigned column = pixel % e.w, line = pixel / e.w % e.h, image = pixel / (e.w * e.h);
    float sum[P::kCount] = {};
    for (unsigned y = first(line, e.h, e.height); y < first(line + 1, e.h, e.height); ++y)
      for (unsigned x = first(column, e.w, e.width); x < first(column + 1, e.w, e.width); ++x) {
        const P pack = load<P>(d + ((static_cast<int64_t>(image) * e.height + y) * e.width + x) * e.c + i);
#pragma unroll
        for (int k = 0; k < P::kCount; ++k) sum[k] += widen(pack.at[k]);
      }
    P result;
#pragma unroll
    for (int k = 0; k < P::kCount; ++k) result.at[k] = narrow<T>(sum[k]);
    store(out + row * e.c + i, result);
  }
};

Extents extents(int64_t h, int64_t w, int64_t height, int64_t width, int64_t c) {
  return {static_cast<unsigned>(h), static_cast<unsigned>(w), static_cast<unsigned>(height), static_cast<unsigned>(width),
          static_cast<unsigned>(c)};
}

}  // namespace

void upsample_nearest(Stream stream, int32_t dtype, const void* x, void* out, int64_t n, int64_t h, int64_t w, int64_t height,
                      int64_t width, int64_t c) {
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    over_rows(stream, Forward{extents(h, w, height, width, c)}, n * height * width, c, static_cast<const T*>(x),
              static_cast<T*>(out));
  });
}

void upsample_nearest_grad(Stream stream, int32_t dtype, const void* d, void* out, int64_t n, int64_t h, int64_t w,
                           int64_t height, int64_t width, int64_t c) {
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    over_rows(stream, Backward{extents(h, w, height, width, c)}, n * h * w, c, static_cast<const T*>(d), static_cast<T*>(out));
  });
}

}  // namespace espalier::cuda::kernels
