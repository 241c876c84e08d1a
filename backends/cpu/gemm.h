#pragma once
// The one matrix product of this backend: C = A · B with B packed in panels of kPanel columns, and an epilogue.
//
// linear, conv2d (direct and Winograd), attention and matmul differ only in where rows of A come from and what is done
// with a finished tile. Every element of C is summed in one fixed order, whatever the number of threads.

#include <cstdint>

#include "backends/cpu/vec.h"

namespace espalier::cpu {

// Register tile: kTileRows x kPanelVecs accumulators leave room for one row of B and a broadcast of A.
#if defined(__AVX512F__)
inline constexpr int kTileRows = 6, kPanelVecs = 4;
#else
inline constexpr int kTileRows = 6, kPanelVecs = 2;
#endif
inline constexpr int kPanel = kPanelVecs * kLanes;

/// acc[rows][kPanel] (+)= Σ_k a[r][k] · b[k][0..kPanel). a: `rows` pointers to consecutive k; b: k rows of kPanel floats.
/// `rows` is 1 to kTileRows. acc has row stride kPanel and is read only when `add`.
void multiply_tile(int rows, const float* const* a, const float* b, int64_t k, float* acc, bool add);

}  // namespace espalier::cpu
