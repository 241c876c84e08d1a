// The micro-kernel: one register tile over one run of k. Accumulators live in registers for the whole run and pass
// through memory (the L1-resident tile) only between runs and before the epilogue.

#include "backends/cpu/gemm.h"

namespace espalier::cpu {
namespace {

template <int Rows, bool Add>
void tile(const float* const* a, const float* b, int64_t k, float* acc) {
  Vec sum[Rows][kPanelVecs];
  const float* row[Rows];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    row[r] = a[r];
#pragma GCC unroll 8
    for (int v = 0; v < kPanelVecs; ++v) sum[r][v] = Add ? load(acc + r * kPanel + v * kLanes) : Vec{};
  }
#pragma GCC unroll 2
  for (int64_t i = 0; i < k; ++i, b += kPanel) {
    Vec column[kPanelVecs];
#pragma GCC unroll 8
    for (int v = 0; v < kPanelVecs; ++v) column[v] = load(b + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Vec x = splat(row[r][i]);
#pragma GCC unroll 8
      for (int v = 0; v < kPanelVecs; ++v) sum[r][v] += x * column[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < kPanelVecs; ++v) store(acc + r * kPanel + v * kLanes, sum[r][v]);
}

template <int Rows>
void tile(const float* const* a, const float* b, int64_t k, float* acc, bool add) {
  return add ? tile<Rows, true>(a, b, k, acc) : tile<Rows, false>(a, b, k, acc);
}

}  // namespace

void multiply_tile(int rows, const float* const* a, const float* b, int64_t k, float* acc, bool add) {
  switch (rows) {
    case 1:
      return tile<1>(a, b, k, acc, add);
    case 2:
      return tile<2>(a, b, k, acc, add);
    case 3:
      return tile<3>(a, b, k, acc, add);
    case 4:
      return tile<4>(a, b, k, acc, add);
    case 5:
      return tile<5>(a, b, k, acc, add);
    default:
      return tile<6>(a, b, k, acc, add);
  }
}

}  // namespace espalier::cpu
