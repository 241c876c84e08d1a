#pragma once
// The tiled driver over the micro-kernel, and the packing of B.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "backends/cpu/device.h"
#include "backends/cpu/gemm.h"

namespace espalier::cpu {

/// Rows of one task: a multiple of kTileRows. Task sizes depend on shapes alone.
inline constexpr int kTaskRows = 96;
inline int64_t panels_of(int64_t columns) { return (columns + kPanel - 1) / kPanel; }

/// Runs of k that are summed one after the other: each is at most kMaxRun long, so that a panel's run stays in the L2 cache.
struct Runs {
  static constexpr int64_t kMaxRun = 1280;
  std::vector<int64_t> begin, length;  // begin: within the row that the run is taken from
  int64_t total = 0;
  /// `groups` rows of k (the taps of a convolution), each split into equal runs.
  static Runs of(int64_t groups, int64_t k) {
    Runs runs;
    const int64_t pieces = (k + kMaxRun - 1) / kMaxRun;
    for (int64_t g = 0; g < groups; ++g)
      for (int64_t p = 0; p < pieces; ++p) {
        const int64_t from = k * p / pieces, to = k * (p + 1) / pieces;
        runs.begin.push_back(from);
        runs.length.push_back(to - from);
      }
    runs.total = groups * k;
    return runs;
  }
  int64_t count() const { return static_cast<int64_t>(begin.size()); }
};

/// Floats of scratch that multiply_block wants: a block of C, and a run of a panel that is not kept as f32.
inline constexpr int64_t kBlockScratch = kTaskRows * kPanel + Runs::kMaxRun * kPanel;

/// C tiles of rows [row, row + rows) and one panel: rows_at(run, first_row, count, pointers) says where rows of A are,
/// finish(first_row, rows, acc) takes a finished tile with row stride kPanel. `scratch`: kBlockScratch floats.
template <typename RowsAt, typename Finish>
void multiply_block(int64_t row, int64_t rows, Packed panel, const Runs& runs, float* scratch, RowsAt&& rows_at,
                    Finish&& finish) {
  const float* pointers[kTaskRows];
  float *acc = scratch, *wide = scratch + kTaskRows * kPanel;
  for (int64_t run = 0; run < runs.count(); ++run) {
    const int64_t k = runs.length[static_cast<size_t>(run)];
    const float* b = static_cast<const float*>(panel.data);
    if (panel.dtype != ESP_F32) {  // a fiftieth of the work of a whole block, and half the memory traffic
      widen(panel.data, panel.dtype, 0, k * kPanel, wide);
      b = wide;
    }
    rows_at(run, row, rows, pointers);
    for (int64_t r = 0; r < rows; r += kTileRows) {
      const int tile = static_cast<int>(std::min<int64_t>(kTileRows, rows - r));
      multiply_tile(tile, pointers + r, b, k, acc + r * kPanel, run != 0);
      if (run + 1 == runs.count()) finish(row + r, tile, acc + r * kPanel);
    }
    panel = panel.from(k * kPanel);
  }
}

/// The whole product over panels [first, last) packed at `packed`: finish(row, rows, panel, acc).
template <typename RowsAt, typename Finish>
void multiply(Device& device, int64_t m, int64_t first, int64_t last, Packed packed, const Runs& runs, RowsAt&& rows_at,
              Finish&& finish) {
  const int64_t blocks = (m + kTaskRows - 1) / kTaskRows;
  // Panels outermost: neighbouring tasks share one panel of B, and weights pass through the caches once.
  device.parallel(blocks * (last - first), [&](int64_t task, int thread) {
    const int64_t panel = task / blocks, row = task % blocks * kTaskRows;
    multiply_block(row, std::min<int64_t>(kTaskRows, m - row), packed.from(panel * runs.total * kPanel), runs,
                   device.scratch(thread, kBlockScratch), rows_at,
                   [&](int64_t r, int count, const float* tile) { finish(r, count, first + panel, tile); });
  });
}

/// Packs one panel: column j of it is `k` consecutive elements of the weight, from element first_of(j) on, or zeros where
/// first_of(j) is negative. `to` gets k rows of kPanel floats.
void pack_panel(const Weight& weight, int64_t k, const std::function<int64_t(int)>& first_of, float* to);

/// Stores a finished tile of rows [row, row + rows) into C[…, columns].
inline void store_tile(float* c, int64_t columns, int64_t row, int rows, int64_t panel, const float* acc) {
  for (int64_t v = 0; v < kPanel; v += kLanes) {
    const int64_t column = panel * kPanel + v, width = std::min<int64_t>(kLanes, columns - column);
    if (width <= 0) return;
    for (int r = 0; r < rows; ++r) store_part(c + (row + r) * columns + column, load(acc + r * kPanel + v), width);
  }
}

/// to[column][row] = from[row][column], on all threads.
void turn(Device& device, const float* from, int64_t rows, int64_t columns, float* to);

/// lanes x lanes floats at `from` (row stride `from_stride`), transposed, to `to` (row stride `to_stride`).
void transpose_square(const float* from, int64_t from_stride, float* to, int64_t to_stride);

}  // namespace espalier::cpu
