#pragma once
#include "backends/cuda/kernels/axes.h"
#include "backends/cuda/kernels/many.h"
#include "backends/cuda/types.h"

namespace espalier::cuda::kernels {

enum class Reduction { kMax, kMean, kSum, kSquares };

/// x over its kept and its reduced dimensions → out, one for each element of `kept`, in order. `workspace`: reduce_bytes.
void reduce(Stream stream, Reduction kind, int32_t dtype, const Axes<1>& kept, const Axes<1>& gone, const void* x, void* out,
            void* workspace);
uint64_t reduce_bytes(const Axes<1>& kept, const Axes<1>& gone);

/// Σ x² of one tensor of f32, by stripes whose sums are joined in order.
struct SquaresState {
  const float* x;
  float *partial, *out;  // partial: `stripes` numbers
  int64_t count, of_stripe, stripes;
};
/// `count` elements in stripes as `reduce` takes them.
void stripe(SquaresState& state, int64_t count);
/// Of many tensors; `stripes` has a chunk for each stripe, `tensors` one for each tensor.
void squared_norms(Stream stream, const SquaresState* states, const Chunk* stripes, unsigned stripe_count, const Chunk* tensors,
                   unsigned tensor_count);

}  // namespace espalier::cuda::kernels
