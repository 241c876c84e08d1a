// Sums go in two stages whose order is fixed: tiles leave theirs in the workspace, then one block, or one for some rows or
// columns, adds those. The gradient is read three times (its sums, the size of the update, the update), its square sums of rows
// and of columns together. A tile is 32 x 128: a warp takes every eighth row, a lane four columns.

#include "backends/cuda/kernels/adafactor.h"

#include "backends/cuda/kernels/adafactor_common.h"

namespace espalier::cuda::kernels {
namespace {

using namespace adafactor_common;

constexpr int kTileRows = 32, kTileColumns = kLanes * kEach, kSteps = kTileRows / kWarps;

struct Matrix {
  int64_t rows, columns, row_tiles, column_tiles;
  Matrix(int64_t r, int64_t c)
      : rows(r), columns(c), row_tiles((r + kTileRows - 1) / kTileRows), column_tiles((c + kTileColumns - 1) / kTileColumns) {}
  int64_t tiles() const { return row_tiles * column_tiles; }
};

/// Where things lie in the workspace of a matrix.
struct Places {
  double *row_sums, *column_sums;  // [column_tiles, rows], [row_tiles, columns]
  double *p_squares, *u_squares;   // [tiles]
  float* factors;                  // [rows]: row / mean of all rows
  Sizes* sizes;
  Places(const Matrix& matrix, void* workspace)
      : row_sums(static_cast<double*>(workspace)),
        column_sums(row_sums + matrix.column_tiles * matrix.rows),
        p_squares(column_sums + matrix.row_tiles * matrix.columns),
        u_squares(p_squares + matrix.tiles()),
        factors(reinterpret_cast<float*>(u_squares + matrix.tiles())),
        sizes(reinterpret_cast<Sizes*>(factors + matrix.rows)) {}
};

/// The part of a tile that a thread takes: four columns, side by side where packs divide the rows, else 32 apart; and which rows.
template <bool kPacks>
struct Part {
  int64_t row, column, columns;
  unsigned row_tile, column_tile;
  int warp, lane;

  __device__ explicit Part(const Matrix& matrix)
      : columns(matrix.columns), warp(static_cast<int>(threadIdx.x) / kLanes), lane(static_cast<int>(threadIdx.x) % kLanes) {
    const auto across = static_cast<unsigned>(matrix.column_tiles);
    row_tile = blockIdx.x / across;
    column_tile = blockIdx.x - row_tile * across;
    row = static_cast<int64_t>(row_tile) * kTileRows + warp;
    column = static_cast<int64_t>(column_tile) * kTileColumns + (kPacks ? lane * kEach : lane);
  }
  __device__ int64_t at(int k) const { return column + (kPacks ? k : k * kLanes); }
  /// Of the row that begins at `from`; zeros past its end.
  __device__ Run<float, kEach> load(const float* from) const {
    if constexpr (kPacks) {
      return load_run<kEach>(from + column, columns - column);
    } else {
      Run<float, kEach> run;
#pragma unroll
      for (int k = 0; k < kEach; ++k) run.at[k] = at(k) < columns ? from[at(k)] : 0;
      return run;
    }
  }
  __device__ void store(float* to, const Run<float, kEach>& run) const {
    if constexpr (kPacks) {
      store_run<kEach>(to + column, run, columns - column);
    } else {
#pragma unroll
      for (int k = 0; k < kEach; ++k)
        if (at(k) < columns) to[at(k)] = run.at[k];
    }
  }
};

/// Square sums of a tile: of the gradient by rows and by columns, of the tensor.
template <bool kPacks>
__global__ void __launch_bounds__(kThreads) sums_kernel(Matrix matrix, AdafactorMemory at, Places places) {
  constexpr int kStride = kLanes + 1;  // keeps a lane's four sums in different banks
  ESP_SHARED(double, of_warps, kWarps* kEach* kStride);
  const Part<kPacks> part(matrix);
  double of_columns[kEach] = {}, p_squares = 0;
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int64_t row = part.row + step * kWarps;
    double of_row = 0;
    if (row < matrix.rows) {
      const auto g = part.load(at.g + row * matrix.columns), p = part.load(at.p + row * matrix.columns);
#pragma unroll
      for (int k = 0; k < kEach; ++k) {
        const double g_square = square(g.at[k]);
        of_row += g_square;
        of_columns[k] += g_square;
        p_squares += square(p.at[k]);
      }
    }
    of_row = sum_of_warp(of_row);
    if (part.lane == 0 && row < matrix.rows) places.row_sums[part.column_tile * matrix.rows + row] = of_row;
  }
#pragma unroll
  for (int k = 0; k < kEach; ++k) of_warps[(part.warp * kEach + k) * kStride + part.lane] = of_columns[k];
  p_squares = sum_of_block<kThreads>(p_squares);  // and its barrier is that of of_warps
  if (threadIdx.x == 0) places.p_squares[blockIdx.x] = p_squares;
  const int me = static_cast<int>(threadIdx.x);
  const int64_t column = static_cast<int64_t>(part.column_tile) * kTileColumns + me;
  if (me >= kTileColumns || column >= matrix.columns) return;
  const int k = kPacks ? me % kEach : me / kLanes, lane = kPacks ? me / kEach : me % kLanes;
  double sum = 0;
  for (int warp = 0; warp < kWarps; ++warp) sum += of_warps[(warp * kEach + k) * kStride + lane];
  places.column_sums[part.row_tile * matrix.columns + column] = sum;
}

/// Means over rows, or over columns: `parts` sums [parts, extent] of `of` squares in all.
struct Means {
  const double* sums;
  int64_t parts, extent, of;
  const float* old;
  float* now;
};

/// Blocks of y = 0 make the rows' means, of y = 1 the columns': 32 each, a warp every eighth part.
__global__ void __launch_bounds__(kThreads) means_kernel(Means rows, Means columns, const float* hyper) {
  ESP_SHARED(double, of_warps, kThreads);
  const Means means = blockIdx.y == 0 ? rows : columns;
  const int warp = static_cast<int>(threadIdx.x) / kLanes, lane = static_cast<int>(threadIdx.x) % kLanes;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kLanes + lane;
  double sum = 0;
  if (i < means.extent)
    for (int64_t part = warp; part < means.parts; part += kWarps) sum += means.sums[part * means.extent + i];
  of_warps[threadIdx.x] = sum;
  __syncthreads();
  if (warp != 0 || i >= means.extent) return;
  sum = 0;
  for (int w = 0; w < kWarps; ++w) sum += of_warps[w * kLanes + lane];
  const double scale = hyper[1], mean = sum * (scale * scale) / static_cast<double>(means.of);
  means.now[i] = static_cast<float>(means.old[i] + hyper[2] * (mean - means.old[i]));
}

/// One block: the rows' second moments over their mean.
__global__ void __launch_bounds__(kOneBlock) factors_kernel(const float* row, int64_t rows, double least, float* factors) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < rows; i += kOneBlock) sum += row[i];
  const double mean = larger(sum_of_block<kOneBlock>(sum) / static_cast<double>(rows), least);
  for (int64_t i = threadIdx.x; i < rows; i += kOneBlock) factors[i] = static_cast<float>(row[i] / mean);
}

/// Square sum of a tile's update.
template <bool kPacks>
__global__ void __launch_bounds__(kThreads) update_size_kernel(Matrix matrix, AdafactorMemory at, float least, Places places) {
  const Part<kPacks> part(matrix);
  const float scale = at.hyper[1];
  const auto column = part.load(at.new_column);
  double squares = 0;
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int64_t row = part.row + step * kWarps;
    if (row >= matrix.rows) continue;
    const float factor = places.factors[row];
    const auto g = part.load(at.g + row * matrix.columns);
#pragma unroll
    for (int k = 0; k < kEach; ++k)
      if (part.at(k) < matrix.columns) squares += square(update_of(g.at[k], scale, factor * column.at[k], least));
  }
  squares = sum_of_block<kThreads>(squares);
  if (threadIdx.x == 0) places.u_squares[blockIdx.x] = squares;
}

template <bool kPacks>
__global__ void __launch_bounds__(kThreads) apply_kernel(Matrix matrix, AdafactorMemory at, float least, Places places) {
  const Part<kPacks> part(matrix);
  const float scale = at.hyper[1];
  const Sizes sizes = *places.sizes;
  const auto column = part.load(at.new_column);
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int64_t row = part.row + step * kWarps;
    if (row >= matrix.rows) continue;
    const float factor = places.factors[row];
    const auto g = part.load(at.g + row * matrix.columns);
    auto p = part.load(at.p + row * matrix.columns);
#pragma unroll
    for (int k = 0; k < kEach; ++k)
      p.at[k] = p.at[k] * sizes.keep - sizes.step * update_of(g.at[k], scale, factor * column.at[k], least);
    part.store(at.new_p + row * matrix.columns, p);
  }
}

template <bool kPacks>
void step_of_matrix(Stream stream, const AdafactorOptions& options, const AdafactorMemory& at, const Matrix& matrix,
                    const Places& places) {
  const dim3 tiles{static_cast<unsigned>(matrix.tiles()), 1, 1}, threads{kThreads, 1, 1};
  const float least = options.eps * options.eps;
  const bool empty = matrix.tiles() == 0;
  const int64_t longest = larger(matrix.rows, matrix.columns);
  if (longest == 0) return;
  if (!empty) launch(stream, tiles, threads, sums_kernel<kPacks>, matrix, at, places);
  // The moments of a matrix without elements decay: the mean of none is 0.
  const Means rows{places.row_sums, matrix.column_tiles, matrix.rows, larger<int64_t>(matrix.columns, 1), at.row, at.new_row};
  const Means columns{places.column_sums, matrix.row_tiles, matrix.columns, larger<int64_t>(matrix.rows, 1),
                      at.column,          at.new_column};
  launch(stream, dim3{static_cast<unsigned>((longest + kLanes - 1) / kLanes), 2, 1}, threads, means_kernel, rows, columns,
         at.hyper);
  if (empty) return;
  launch(stream, dim3{1, 1, 1}, dim3{kOneBlock, 1, 1}, factors_kernel, static_cast<const float*>(at.new_row), matrix.rows,
         static_cast<double>(options.eps), places.factors);
  launch(stream, tiles, threads, update_size_kernel<kPacks>, matrix, at, least, places);
  sizes(stream, options, places.p_squares, places.u_squares, matrix.tiles(), matrix.rows * matrix.columns, at.hyper,
        places.sizes);
  launch(stream, tiles, threads, apply_kernel<kPacks>, matrix, at, least, places);
}

}  // namespace

uint64_t adafactor_workspace_bytes(int64_t rows, int64_t columns) {
  const Matrix matrix(rows, columns);
  const int64_t doubles = matrix.column_tiles * rows + matrix.row_tiles * columns + 2 * matrix.tiles();
  return static_cast<uint64_t>(doubles) * sizeof(double) + static_cast<uint64_t>(rows) * sizeof(float) + sizeof(Sizes);
}

void adafactor(Stream stream, const AdafactorOptions& options, const AdafactorMemory& at, int64_t rows, int64_t columns,
               void* workspace) {
  const Matrix matrix(rows, columns);
  const Places places(matrix, workspace);
  if (by_packs<float>(columns))
    step_of_matrix<true>(stream, options, at, matrix, places);
  else
    step_of_matrix<false>(stream, options, at, matrix, places);
}

}  // namespace espalier::cuda::kernels
