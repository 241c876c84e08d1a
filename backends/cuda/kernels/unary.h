#pragma once
#include "backends/cuda/types.h"

namespace espalier::cuda::kernels {

enum class Unary { kAbs, kCos, kErf, kExp, kGelu, kLog, kNeg, kRsqrt, kSigmoid, kSign, kSilu, kSin, kSqrt, kSquare, kTanh };

/// out[i] = f(x[i]) for `count` numbers.
void unary(Stream stream, Unary function, int32_t dtype, const void* x, void* out, int64_t count);
/// out = d · silu'(x).
void silu_grad(Stream stream, int32_t dtype, const void* x, const void* d, void* out, int64_t count);

}  // namespace espalier::cuda::kernels
