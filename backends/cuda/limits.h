#pragma once
// What the seam asks of NVIDIA's libraries at most, and what they do not do. The real seam goes by it, and so do those that stand
// in for it.

#include <string>

#include "backends/cuda/seam.h"

namespace espalier::cuda {

/// Of one matrix product: what cuBLASLt recommends for Hopper, and enough for every split of k.
inline constexpr uint64_t kMostMatmulWorkspace = uint64_t{32} << 20;
/// Of one graph of cuDNN: plans that want more are not taken.
inline constexpr uint64_t kMostDnnWorkspace = uint64_t{256} << 20;

inline uint64_t rounded_to_256(uint64_t bytes) { return (bytes + 255) / 256 * 256; }

/// An attention's gradient keeps the forward pass's result and statistics at the start of its workspace.
inline uint64_t attention_result_bytes(const AttentionShape& s) {
  return rounded_to_256(static_cast<uint64_t>(s.n * s.queries * s.heads * s.head_dim) * 2);
}
inline uint64_t attention_statistics_bytes(const AttentionShape& s) {
  return rounded_to_256(static_cast<uint64_t>(s.n * s.heads * s.queries) * 4);
}

/// Why cuDNN has no fused attention for a shape; empty when it has. Source: cuDNN 9's support matrix of SDPA.
inline std::string refusal(const AttentionShape& s) {
  if (s.dtype == ESP_F32) return "cuDNN's attention takes f16 and bf16";
  if (s.head_dim % 8 != 0 || s.head_dim > 128)
    return "cuDNN's attention takes heads of a multiple of 8 up to 128, this one has " + std::to_string(s.head_dim);
  return {};
}

}  // namespace espalier::cuda
