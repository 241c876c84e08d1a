// Both ways are transposes of [rows, columns] for each o, through a tile of shared memory, so that reads and writes are of
// consecutive addresses.

#include "backends/cuda/kernels/channels_last.h"

#include "backends/cuda/kernels/device.h"

namespace espalier::cuda::kernels {
namespace {

constexpr int kTile = 32, kTileRows = 8;

template <typename T>
__global__ void __launch_bounds__(kTile* kTileRows)
    transpose_kernel(const T* __restrict__ from, T* __restrict__ to, int64_t rows, int64_t columns) {
  ESP_SHARED(T, tile, kTile * (kTile + 1));  // the extra column keeps a column's elements in different banks
  const int64_t base = static_cast<int64_t>(blockIdx.z) * rows * columns;
  const int64_t row0 = static_cast<int64_t>(blockIdx.y) * kTile, column0 = static_cast<int64_t>(blockIdx.x) * kTile;
  for (int r = static_cast<int>(threadIdx.y); r < kTile; r += kTileRows) {
    const int64_t row = row0 + r, column = column0 + threadIdx.x;
    if (row < rows && column < columns) tile[r * (kTile + 1) + threadIdx.x] = from[base + row * columns + column];
  }
  __syncthreads();
  for (int c = static_cast<int>(threadIdx.y); c < kTile; c += kTileRows) {
    const int64_t row = row0 + threadIdx.x, column = column0 + c;
    if (row < rows && column < columns) to[base + column * rows + row] = tile[threadIdx.x * (kTile + 1) + c];
  }
}

void transpose(Stream stream, int32_t dtype, const void* from, void* to, int64_t batch, int64_t rows, int64_t columns) {
  if (batch * rows * columns == 0) return;
  const auto tiles = [](int64_t extent) { return static_cast<unsigned>((extent + kTile - 1) / kTile); };
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    constexpr int64_t kMostAtOnce = 65535;  // of a grid's z
    for (int64_t first = 0; first < batch; first += kMostAtOnce) {
      const int64_t count = batch - first < kMostAtOnce ? batch - first : kMostAtOnce;
      launch(stream, dim3{tiles(columns), tiles(rows), static_cast<unsigned>(count)}, dim3{kTile, kTileRows, 1},
             transpose_kernel<T>, static_cast<const T*>(from) + first * rows * columns,
             static_cast<T*>(to) + first * rows * columns, rows, columns);
    }
  });
}

}  // namespace

void to_channels_last(Stream stream, int32_t dtype, const void* from, void* to, int64_t o, int64_t c, int64_t taps) {
  transpose(stream, dtype, from, to, o, c, taps);
}
void from_channels_last(Stream stream, int32_t dtype, const void* from, void* to, int64_t o, int64_t c, int64_t taps) {
  transpose(stream, dtype, from, to, o, taps, c);
}

}  // namespace espalier::cuda::kernels
