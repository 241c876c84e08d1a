// Two operands of one shape are mapped by packs; any others are walked by the result's dimensions, 32-bit divisions only, with
// the innermost one by packs where both operands either go along or stand still there and no run begins inside a pack.

#include "backends/cuda/kernels/binary.h"

#include "backends/cuda/kernels/map.h"
#include "backends/cuda/kernels/rows.h"
#include "backends/cuda/kernels/walk.h"

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

/// P::kCount neighbours of an operand whose innermost step is 1; one number of it for all of them where the step is 0.
template <typename P, typename T>
__device__ P take(const T* from, int64_t step, unsigned i) {
  if (step == 1) return load<P>(from + i);
  P same;
  const T value = from[i * step];
#pragma unroll
  for (int k = 0; k < P::kCount; ++k) same.at[k] = value;
  return same;
}

template <typename P, typename F, typename T>
__global__ void __launch_bounds__(kMapThreads)
    strided_kernel(F f, Axes<2> axes, unsigned packs, unsigned packs_of_run, const T* a, const T* c, T* out) {
  const unsigned at = blockIdx.x * kMapThreads + threadIdx.x;
  if (at >= packs) return;
  const unsigned run = at / packs_of_run, i = (at - run * packs_of_run) * P::kCount;
  const Offsets<2> begin = offsets(axes, axes.rank - 1, run);
  const P x = take<P>(a + begin.of[0], axes.step[0][axes.rank - 1], i),
          y = take<P>(c + begin.of[1], axes.step[1][axes.rank - 1], i);
  P result;
#pragma unroll
  for (int k = 0; k < P::kCount; ++k) result.at[k] = narrow<T>(f(widen(x.at[k]), widen(y.at[k])));
  store(out + static_cast<int64_t>(at) * P::kCount, result);
}

/// Whether every run of both operands begins where a pack does.
template <typename T>
bool runs_by_packs(const Axes<2>& axes) {
  const int last = axes.rank - 1;
  if (!by_packs<T>(axes.extent[last])) return false;
  for (const auto& step : axes.step) {
    if (step[last] > 1) return false;
    for (int d = 0; step[last] == 1 && d < last; ++d)
      if (!by_packs<T>(step[d])) return false;
  }
  return true;
}

template <typename F, typename T>
void strided(Stream stream, F f, const Axes<2>& axes, const T* a, const T* c, T* out) {
  const int64_t count = axes.count();
  if (count == 0) return;
  if (axes.rank == 1 && axes.step[0][0] == 1 && axes.step[1][0] == 1) return map(stream, f, count, out, a, c);
  const auto go = [&](auto pack) {
    using P = decltype(pack);
    const int64_t packs = count / P::kCount, packs_of_run = axes.extent[axes.rank - 1] / P::kCount;
    launch(stream, dim3{static_cast<unsigned>((packs + kMapThreads - 1) / kMapThreads), 1, 1}, dim3{kMapThreads, 1, 1},
           strided_kernel<P, F, T>, f, axes, static_cast<unsigned>(packs), static_cast<unsigned>(packs_of_run), a, c, out);
  };
  if (runs_by_packs<T>(axes))
    go(Pack<T>{});
  else
    go(Single<T>{});
}

/// A gate that is shut copies bits and reads no y.
template <typename P, typename T>
__global__ void __launch_bounds__(kMapThreads)
    gate_kernel(const T* x, const T* y, const float* gate, T* out, int64_t begin, int64_t count) {
  const int64_t i = begin + (static_cast<int64_t>(blockIdx.x) * kMapThreads + threadIdx.x) * P::kCount;
  if (i >= count) return;
  const float factor = *gate;
  P result = load<P>(x + i);
  if (factor != 0) {
    const P other = load<P>(y + i);
#pragma unroll
    for (int k = 0; k < P::kCount; ++k) {
      const float from = widen(result.at[k]);
      result.at[k] = narrow<T>(from + factor * (widen(other.at[k]) - from));
    }
  }
  store(out + i, result);
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

void gate(Stream stream, int32_t dtype, const void* x, const void* y, const float* gates, int64_t index, void* out,
          int64_t count) {
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    const auto go = [&](auto pack, int64_t begin, int64_t end) {
      using P = decltype(pack);
      const int64_t packs = (end - begin) / P::kCount;
      if (packs == 0) return;
      launch(stream, dim3{static_cast<unsigned>((packs + kMapThreads - 1) / kMapThreads), 1, 1}, dim3{kMapThreads, 1, 1},
             gate_kernel<P, T>, static_cast<const T*>(x), static_cast<const T*>(y), gates + index, static_cast<T*>(out), begin,
             end);
    };
    const int64_t whole = count / Pack<T>::kCount * Pack<T>::kCount;
    go(Pack<T>{}, 0, whole);
    go(Single<T>{}, whole, count);
  });
}

}  // namespace espalier::cuda::kernels
