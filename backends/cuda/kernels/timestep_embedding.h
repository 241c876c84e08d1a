#pragma once
#include "backends/cuda/types.h"

namespace espalier::cuda::kernels {

/// t [n] of `dtype` → out [n, dim]. `slope` is -ln(max_period), `divisor` dim/2 - freq_shift, both rounded to f32 as PyTorch
/// rounds them.
void timestep_embedding(Stream stream, int32_t dtype, const void* t, float* out, int64_t n, int64_t dim, bool cosine_first,
                        float slope, float divisor);

}  // namespace espalier::cuda::kernels
