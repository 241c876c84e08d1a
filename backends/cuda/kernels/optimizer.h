#pragma once
#include "backends/cuda/types.h"

namespace espalier::cuda::kernels {

struct AdamWOptions {
  float beta1, beta2, rest1, rest2, eps;  // rest: 1 - beta, rounded once
  double weight_decay;
};

/// One step in place, all f32 in device memory. `hyper`: learning rate, scale of the gradient, both bias corrections.
void adamw(Stream stream, const AdamWOptions& options, const float* hyper, const float* p, const float* g, const float* m,
           const float* v, float* new_p, float* new_m, float* new_v, int64_t count);
/// average = x + decay (average - x).
void ema(Stream stream, const float* average, const float* x, const float* decay, float* out, int64_t count);
/// out = sum + x.
void accumulate(Stream stream, int32_t dtype, const void* sum, const void* x, void* out, int64_t count);

}  // namespace espalier::cuda::kernels
