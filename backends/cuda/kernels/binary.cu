// Two operands of one shape are mapped by packs; any others are walked by the result's dimensions, 32-bit divisions only, with
// the innermost one by packs where both operands either go along or stand still there.

#include "backends/cuda/kernels/binary.h"

#include "backends/cuda/kernels/map.h"

namespace espalier::cuda::kernels {
namespace {

template <Binary kFunction>
struct Function {
  __device__ float operator()(float a, float c) const {
    if constexpr (kFunction == Binary::kAdd) return a + c;
    if constexpr (kFunction == Binary::kDiv) return a / c;
    if constexpr (kFunction == Binary::kMaximum) return a != a || a > c ? a : c;  // NaN wins
    if constexpr (kFunction == Binary::kMul) return a * c;
    if constexpr (kFunction == Binary::kSub) return a - c;
  }
};

/// Numbers that one thread makes: of one run of the innermost dimension.
constexpr unsigned kEach = 4;

template <typename F, typename T>
__global__ void __launch_bounds__(kMapThreads)
    strided_kernel(F f, Axes<2> axes, unsigned groups, unsigned groups_of_run, const T* a, const T* c, T* out) {
  const unsigned at = blockIdx.x * kMapThreads + threadIdx.x;
  if (at >= groups) return;
  const unsigned run = at / groups_of_run, first = (at - run * groups_of_run) * kEach;
  const int last_axis = axes.rank - 1;
  const auto width = static_cast<unsigned>(axes.extent[last_axis]);
  int64_t from_a = 0, from_c = 0;
  unsigned rest = run;
  for (int d = last_axis - 1; d >= 0; --d) {
    const auto extent = static_cast<unsigned>(axes.extent[d]);
    const unsigned next = rest / extent, here = rest - next * extent;
    from_a += here * axes.step[0][d];
    from_c += here * axes.step[1][d];
    rest = next;
  }
  const int64_t step_a = axes.step[0][last_axis], step_c = axes.step[1][last_axis];
  const unsigned end = first + kEach < width ? first + kEach : width;
  for (unsigned i = first; i < end; ++i)
    out[static_cast<int64_t>(run) * width + i] = narrow<T>(f(widen(a[from_a + i * step_a]), widen(c[from_c + i * step_c])));
}

template <typename F, typename T>
void strided(Stream stream, F f, const Axes<2>& axes, const T* a, const T* c, T* out) {
  const int64_t count = axes.count(), width = axes.extent[axes.rank - 1];
  if (count == 0) return;
  if (axes.rank == 1 && axes.step[0][0] == 1 && axes.step[1][0] == 1) return map(stream, f, count, out, a, c);
  const int64_t groups_of_run = (width + kEach - 1) / kEach, groups = count / width * groups_of_run;
  launch(stream, dim3{static_cast<unsigned>((groups + kMapThreads - 1) / kMapThreads), 1, 1}, dim3{kMapThreads, 1, 1},
         strided_kernel<F, T>, f, axes, static_cast<unsigned>(groups), static_cast<unsigned>(groups_of_run), a, c, out);
}

template <typename T>
__global__ void __launch_bounds__(kMapThreads) gate_kernel(const T* x, const T* y, const T* gate, T* out, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kMapThreads + threadIdx.x;
  if (i >= count) return;
  const float factor = widen(*gate), at = widen(x[i]);
  out[i] = factor == 0 ? x[i] : narrow<T>(at + factor * (widen(y[i]) - at));
}

}  // namespace

void binary(Stream stream, Binary function, int32_t dtype, const Axes<2>& axes, const void* a, const void* c, void* out) {
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    const auto go = [&](auto f) {
      strided(stream, f, axes, static_cast<const T*>(a), static_cast<const T*>(c), static_cast<T*>(out));
    };
    switch (function) {
      case Binary::kAdd:
        return go(Function<Binary::kAdd>{});
      case Binary::kDiv:
        return go(Function<Binary::kDiv>{});
      case Binary::kMaximum:
        return go(Function<Binary::kMaximum>{});
      case Binary::kMul:
        return go(Function<Binary::kMul>{});
      case Binary::kSub:
        return go(Function<Binary::kSub>{});
    }
  });
}

void gate(Stream stream, int32_t dtype, const void* x, const void* y, const void* gates, int64_t index, void* out,
          int64_t count) {
  if (count == 0) return;
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    launch(stream, dim3{static_cast<unsigned>((count + kMapThreads - 1) / kMapThreads), 1, 1}, dim3{kMapThreads, 1, 1},
           gate_kernel<T>, static_cast<const T*>(x), static_cast<const T*>(y), static_cast<const T*>(gates) + index,
           static_cast<T*>(out), count);
  });
}

}  // namespace espalier::cuda::kernels
