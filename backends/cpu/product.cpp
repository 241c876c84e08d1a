// Packing is a transposition; it runs at the speed of memory when it goes through registers a square at a time.

#include "backends/cpu/product.h"

#include <cstring>
#include <utility>

#include "backends/cpu/widen.h"

namespace espalier::cpu {
namespace {

// One step of Eklundh's transposition: swaps the off-diagonal S x S squares of two rows that are S apart.
template <int S, size_t... L>
void swap_squares(Vec& a, Vec& b, std::index_sequence<L...>) {
  const Vec upper = __builtin_shufflevector(a, b, ((L & S) ? kLanes + (L ^ S) : L)...);
  const Vec lower = __builtin_shufflevector(a, b, ((L & S) ? kLanes + L : (L ^ S))...);
  a = upper;
  b = lower;
}

template <int S>
void transpose_steps(Vec* rows) {
  if constexpr (S < kLanes) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i)
      if (!(i & S)) swap_squares<S>(rows[i], rows[i + S], std::make_index_sequence<kLanes>());
    transpose_steps<S * 2>(rows);
  }
}

}  // namespace

void transpose_square(const float* from, int64_t from_stride, float* to, int64_t to_stride) {
  Vec rows[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) rows[i] = load(from + i * from_stride);
  transpose_steps<1>(rows);
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) store(to + i * to_stride, rows[i]);
}

void turn(Device& device, const float* from, int64_t rows, int64_t columns, float* to) {
  constexpr int64_t kWidth = 64 / 4 * 2;  // two cache lines of each row of `from`
  device.parallel((columns + kWidth - 1) / kWidth, [&](int64_t task, int) {
    const int64_t first = task * kWidth, last = std::min(first + kWidth, columns);
    for (int64_t r = 0; r < rows; r += kLanes)
      for (int64_t c = first; c < last; c += kLanes) {
        if (r + kLanes <= rows && c + kLanes <= last) {
          transpose_square(from + r * columns + c, columns, to + c * rows + r, rows);
          continue;
        }
        for (int64_t i = r; i < std::min(r + kLanes, rows); ++i)
          for (int64_t j = c; j < std::min(c + kLanes, last); ++j) to[j * rows + i] = from[i * columns + j];
      }
  });
}

void pack_panel(const Weight& weight, int64_t k, const std::function<int64_t(int)>& first_of, float* to) {
  constexpr int64_t kRun = 4 * kLanes;
  alignas(64) float rows[kPanel * kRun];
  int64_t first[kPanel];
  for (int j = 0; j < kPanel; ++j) first[j] = first_of(j);
  for (int64_t at = 0; at < k; at += kRun) {
    const int64_t run = std::min(kRun, k - at);
    for (int j = 0; j < kPanel; ++j) {
      float* row = rows + j * kRun;
      if (first[j] >= 0) widen(weight.data, weight.dtype, first[j] + at, run, row);
      const int64_t known = first[j] >= 0 ? run : 0;
      if (known < kRun) std::memset(row + known, 0, static_cast<size_t>(kRun - known) * 4);
    }
    for (int64_t i = 0; i < run; i += kLanes) {
      if (i + kLanes <= run) {
        for (int j = 0; j < kPanel; j += kLanes) transpose_square(rows + j * kRun + i, kRun, to + (at + i) * kPanel + j, kPanel);
        continue;
      }
      for (int64_t l = i; l < run; ++l)
        for (int j = 0; j < kPanel; ++j) to[(at + l) * kPanel + j] = rows[j * kRun + l];
    }
  }
}

}  // namespace espalier::cpu
