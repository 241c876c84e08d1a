#pragma once
#include "backends/cuda/types.h"

namespace espalier::cuda::kernels {

/// x [rows, 2 · width] → out [rows, width].
void geglu(Stream stream, int32_t dtype, const void* x, void* out, int64_t rows, int64_t width);
/// x [rows, 2 · width], d [rows, width] → out [rows, 2 · width].
void geglu_grad(Stream stream, int32_t dtype, const void* x, const void* d, void* out, int64_t rows, int64_t width);

}  // namespace espalier::cuda::kernels
