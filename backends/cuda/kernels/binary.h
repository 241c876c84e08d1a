#pragma once
#include "backends/cuda/kernels/axes.h"
#include "backends/cuda/types.h"

namespace espalier::cuda::kernels {

enum class Binary { kAdd, kDiv, kMaximum, kMul, kSub };

/// out = f(a, c) over the result's dimensions; an operand that is repeated along one has step 0 there.
void binary(Stream stream, Binary function, int32_t dtype, const Axes<2>& axes, const void* a, const void* c, void* out);
/// out = x + gates[index] · (y - x); x itself where the gate is 0, whatever y holds. Gates are f32 whatever `dtype` is.
void gate(Stream stream, int32_t dtype, const void* x, const void* y, const float* gates, int64_t index, void* out,
          int64_t count);

}  // namespace espalier::cuda::kernels
