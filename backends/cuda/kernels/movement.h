#pragma once
#include "backends/cuda/kernels/axes.h"
#include "backends/cuda/types.h"

namespace espalier::cuda::kernels {

/// Copies elements of `bytes` (1, 2, 4, 8) along `axes`: operand 0 gives the steps of `from`, operand 1 those of `to`.
void strided_copy(Stream stream, int64_t bytes, const Axes<2>& axes, const void* from, void* to);
/// x [n, h, w, c] → out [n, height, width, c].
void upsample_nearest(Stream stream, int32_t dtype, const void* x, void* out, int64_t n, int64_t h, int64_t w, int64_t height,
                      int64_t width, int64_t c);
/// d [n, height, width, c] → out [n, h, w, c], the copies of each pixel summed in order.
void upsample_nearest_grad(Stream stream, int32_t dtype, const void* d, void* out, int64_t n, int64_t h, int64_t w,
                           int64_t height, int64_t width, int64_t c);

}  // namespace espalier::cuda::kernels
