// adamw, ema, accumulate: one pass over everything an element has. Settings that change from step to step are read from device
// memory, so that a recorded step need not be recorded again.

#include "backends/cuda/kernels/optimizer.h"

#include "backends/cuda/kernels/map.h"

namespace espalier::cuda::kernels {
namespace {

constexpr int kEach = 4;

__global__ void __launch_bounds__(kMapThreads)
    adamw_kernel(AdamWOptions o, const float* hyper, const float* p, const float* g, const float* m, const float* v, float* new_p,
                 float* new_m, float* new_v, int64_t count) {
  const int64_t begin = (static_cast<int64_t>(blockIdx.x) * kMapThreads + threadIdx.x) * kEach;
  if (begin >= count) return;
  const auto keep = static_cast<float>(1 - static_cast<double>(hyper[0]) * o.weight_decay);
  const float scale = hyper[1], step = hyper[0] / hyper[2], root = 1 / sqrtf(hyper[3]);
  const auto one = [&](float& weight, float gradient, float& first, float& second) {
    gradient *= scale;
    first = o.beta1 * first + o.rest1 * gradient;
    second = o.beta2 * second + o.rest2 * (gradient * gradient);
    weight = weight * keep - step * first / (sqrtf(second) * root + o.eps);
  };
  if (begin + kEach <= count) {
    using R = Run<float, kEach>;
    R weight = *reinterpret_cast<const R*>(p + begin), first = *reinterpret_cast<const R*>(m + begin),
      second = *reinterpret_cast<const R*>(v + begin);
    const R gradient = *reinterpret_cast<const R*>(g + begin);
#pragma unroll
    for (int i = 0; i < kEach; ++i) one(weight.at[i], gradient.at[i], first.at[i], second.at[i]);
    *reinterpret_cast<R*>(new_p + begin) = weight;
    *reinterpret_cast<R*>(new_m + begin) = first;
    *reinterpret_cast<R*>(new_v + begin) = second;
    return;
  }
  for (int64_t i = begin; i < count; ++i) {
    float weight = p[i], first = m[i], second = v[i];
    one(weight, g[i], first, second);
    new_p[i] = weight;
    new_m[i] = first;
    new_v[i] = second;
  }
}

struct Towards {
  const float* decay;
  __device__ float operator()(float average, float x) const { return x + *decay * (average - x); }
};
struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};

}  // namespace

void adamw(Stream stream, const AdamWOptions& options, const float* hyper, const float* p, const float* g, const float* m,
           const float* v, float* new_p, float* new_m, float* new_v, int64_t count) {
  if (count == 0) return;
  const int64_t of_block = int64_t{kMapThreads} * kEach;
  launch(stream, dim3{static_cast<unsigned>((count + of_block - 1) / of_block), 1, 1}, dim3{kMapThreads, 1, 1}, adamw_kernel,
         options, hyper, p, g, m, v, new_p, new_m, new_v, count);
}

void ema(Stream stream, const float* average, const float* x, const float* decay, float* out, int64_t count) {
  map(stream, Towards{decay}, count, out, average, x);
}

void accumulate(Stream stream, int32_t dtype, const void* sum, const void* x, void* out, int64_t count) {
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    map(stream, Sum{}, count, static_cast<T*>(out), static_cast<const T*>(sum), static_cast<const T*>(x));
  });
}

}  // namespace espalier::cuda::kernels
