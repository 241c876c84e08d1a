#pragma once
#include "core/ops/adamw.h"

namespace espalier::ops {

/// Elements of a block: those with one scale.
constexpr int64_t kCodeBlock = 256;
/// Scales of a tensor of `elements`.
constexpr int64_t code_blocks(int64_t elements) { return (elements + kCodeBlock - 1) / kCodeBlock; }

/// A tensor and its moments as codes (u8, of the tensor's shape) with a scale (f32) for each block of 256 elements. Zeroed codes
/// with zeroed scales are moments of zero. `hyper` is that of adamw.
struct AdamW8bitState {
  Value p, m, v, m_scale, v_scale;
};
AdamW8bitState adamw8bit(Builder& b, const AdamW8bitState& state, Value gradient, Value hyper, const AdamW& options);

/// The 256 values that codes stand for, ascending, in [-1, 1] (`with_sign`) or [0, 1].
///
/// Source: dynamic quantisation of arXiv 2110.02861: seven decades below 1; decade i (the topmost is 6) has 2^i values of each
/// sign, or 2^(i+1) without sign, in the middles of equal parts of [0.1, 1) · 10^(i-6); and 0 and 1 themselves.
const std::vector<float>& dynamic_map(bool with_sign);

}  // namespace espalier::ops
