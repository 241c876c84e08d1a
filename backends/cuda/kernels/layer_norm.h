#pragma once
#include "backends/cuda/types.h"

namespace espalier::cuda::kernels {

/// x [rows, width], weight and bias [width] → out [rows, width].
void layer_norm(Stream stream, int32_t dtype, const void* x, const void* weight, const void* bias, void* out, int64_t rows,
                int64_t width, float eps);
/// d, x [rows, width], weight [width] or null → out [rows, width].
void layer_norm_grad_input(Stream stream, int32_t dtype, const void* d, const void* x, const void* weight, void* out,
                           int64_t rows, int64_t width, float eps);
/// d, x [rows, width] → out [2, width]: Σ d x̂, Σ d. `workspace`: layer_norm_grad_affine_bytes.
void layer_norm_grad_affine(Stream stream, int32_t dtype, const void* d, const void* x, void* out, int64_t rows, int64_t width,
                            float eps, void* workspace);
uint64_t layer_norm_grad_affine_bytes(int64_t rows, int64_t width);
/// x [rows, width] → out [rows, width].
void softmax(Stream stream, int32_t dtype, const void* x, void* out, int64_t rows, int64_t width);

}  // namespace espalier::cuda::kernels
