#pragma once
#include "backends/cuda/kernels/many.h"

namespace espalier::cuda::kernels {

struct AdamWOptions {
  float beta1, beta2, rest1, rest2, eps;  // rest: 1 - beta, rounded once
  double weight_decay;
};

/// Of one tensor, all f32 in device memory.
struct AdamWState {
  const float *p, *g, *m, *v;
  float *new_p, *new_m, *new_v;
  const float* hyper;  // learning rate, scale of the gradient, both bias corrections
  int64_t count;
};
/// Elements of a chunk.
inline constexpr int64_t kAdamWPart = 1024;

/// One step in place of each tensor; `states` and `chunks`, of kAdamWPart elements each, in device memory.
void adamw(Stream stream, const AdamWOptions& options, const AdamWState* states, const Chunk* chunks, unsigned count);

struct EmaState {
  const float *average, *x;
  const float* decay;
  float* out;
  int64_t count;
};
inline constexpr int64_t kEmaPart = 2048;

/// average = x + decay (average - x), of each.
void ema(Stream stream, const EmaState* states, const Chunk* chunks, unsigned count);
/// out = sum + x.
void accumulate(Stream stream, int32_t dtype, const void* sum, const void* x, void* out, int64_t count);

}  // namespace espalier::cuda::kernels
