#pragma once
#include "backends/cuda/kernels/axes.h"
#include "backends/cuda/types.h"

namespace espalier::cuda::kernels {

enum class Reduction { kMax, kMean, kSum, kSquares };

/// x over its kept and its reduced dimensions → out, one for each element of `kept`, in order. `workspace`: reduce_bytes.
void reduce(Stream stream, Reduction kind, int32_t dtype, const Axes<1>& kept, const Axes<1>& gone, const void* x, void* out,
            void* workspace);
uint64_t reduce_bytes(const Axes<1>& kept, const Axes<1>& gone);

}  // namespace espalier::cuda::kernels
