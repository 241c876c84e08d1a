#pragma once
// Element-wise kernels: a function of one to three numbers of one place, over whole tensors, by packs of 16 bytes of the widest
// operand with a scalar end. Bound by memory: every element is read and written once.

#include "backends/cuda/kernels/device.h"

namespace espalier::cuda::kernels {

inline constexpr unsigned kMapThreads = 256;

template <typename T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Run {
  T at[N];
};

/// out[i] = f(x[i]...) as f32, in runs of eight.
template <typename F, typename Out, typename... In>
__global__ void __launch_bounds__(kMapThreads) map_kernel(F f, int64_t count, Out* out, const In*... in) {
  constexpr int kEach = 8;
  const int64_t begin = (static_cast<int64_t>(blockIdx.x) * kMapThreads + threadIdx.x) * kEach;
  if (begin >= count) return;
  if (begin + kEach <= count) {
    Run<Out, kEach> result;
    const auto go = [&](const Run<In, kEach>... x) {
#pragma unroll
      for (int i = 0; i < kEach; ++i) result.at[i] = narrow<Out>(f(widen(x.at[i])...));
    };
    go(*reinterpret_cast<const Run<In, kEach>*>(in + begin)...);
    *reinterpret_cast<Run<Out, kEach>*>(out + begin) = result;
  } else {
    for (int64_t i = begin; i < count; ++i) out[i] = narrow<Out>(f(widen(in[i])...));
  }
}

template <typename F, typename Out, typename... In>
void map(Stream stream, F f, int64_t count, Out* out, const In*... in) {
  if (count == 0) return;
  const int64_t blocks = (count + kMapThreads * 8 - 1) / (kMapThreads * 8);
  launch(stream, dim3{static_cast<unsigned>(blocks), 1, 1}, dim3{kMapThreads, 1, 1}, map_kernel<F, Out, In...>, f, count, out,
         in...);
}

}  // namespace espalier::cuda::kernels
