#pragma once
#include "backends/cuda/types.h"

namespace espalier::cuda::kernels {

/// x [n, positions, c] with `groups` groups of neighbouring channels.
struct GroupShape {
  int64_t n, positions, c, groups;
  float eps;
  int64_t width() const { return c / groups; }
};

/// out = (x - mean) / √(var + eps) · weight + bias, then silu where asked. `workspace`: group_norm_bytes.
void group_norm(Stream stream, int32_t dtype, const GroupShape& shape, const void* x, const void* weight, const void* bias,
                bool silu, void* out, void* workspace);
/// d, x → out of x's shape; weight [c] or null.
void group_norm_grad_input(Stream stream, int32_t dtype, const GroupShape& shape, const void* d, const void* x,
                           const void* weight, void* out, void* workspace);
/// d, x → out [2, c]: Σ d x̂, Σ d.
void group_norm_grad_affine(Stream stream, int32_t dtype, const GroupShape& shape, const void* d, const void* x, void* out,
                            void* workspace);
/// Enough for each of the three.
uint64_t group_norm_bytes(const GroupShape& shape);

}  // namespace espalier::cuda::kernels
