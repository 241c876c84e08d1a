// Runs that are contiguous on both sides move by the widest unit, up to 16 bytes, that divides them and every step.

#include "backends/cuda/kernels/movement.h"
#include "backends/cuda/kernels/walk.h"

namespace espalier::cuda::kernels {
namespace {

constexpr unsigned kThreads = 256;

struct alignas(16) Sixteen {
  uint64_t at[2];
};

template <typename T>
__global__ void __launch_bounds__(kThreads) copy_kernel(Axes<2> axes, int64_t count, const T* from, T* to) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= count) return;
  const Offsets<2> place = offsets(axes, axes.rank, static_cast<unsigned>(at));
  to[place.of[1]] = from[place.of[0]];
}

template <typename T>
void go(Stream stream, const Axes<2>& axes, const void* from, void* to) {
  const int64_t count = axes.count();
  if (count == 0) return;
  launch(stream, dim3{static_cast<unsigned>((count + kThreads - 1) / kThreads), 1, 1}, dim3{kThreads, 1, 1}, copy_kernel<T>, axes,
         count, static_cast<const T*>(from), static_cast<T*>(to));
}

/// Twice as wide elements, where runs, steps and bases allow it.
bool widen_unit(Axes<2>& axes, int64_t bytes, const void* from, const void* to) {
  const int last = axes.rank - 1;
  if (bytes == 16 || axes.extent[last] % 2 != 0 || axes.step[0][last] != 1 || axes.step[1][last] != 1) return false;
  if ((reinterpret_cast<uintptr_t>(from) | reinterpret_cast<uintptr_t>(to)) % static_cast<uintptr_t>(2 * bytes) != 0)
    return false;
  for (int d = 0; d < last; ++d)
    if (axes.step[0][d] % 2 != 0 || axes.step[1][d] % 2 != 0) return false;
  axes.extent[last] /= 2;
  for (int d = 0; d < last; ++d) axes.step[0][d] /= 2, axes.step[1][d] /= 2;
  return true;
}

}  // namespace

void strided_copy(Stream stream, int64_t bytes, const Axes<2>& given, const void* from, void* to) {
  Axes<2> axes = given;
  while (widen_unit(axes, bytes, from, to)) bytes *= 2;
  switch (bytes) {
    case 1:
      return go<uint8_t>(stream, axes, from, to);
    case 2:
      return go<uint16_t>(stream, axes, from, to);
    case 4:
      return go<uint32_t>(stream, axes, from, to);
    case 8:
      return go<uint64_t>(stream, axes, from, to);
    default:
      return go<Sixteen>(stream, axes, from, to);
  }
}

}  // namespace espalier::cuda::kernels
