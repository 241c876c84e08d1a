// adamw, ema, accumulate: one pass over everything an element has. Settings that change from step to step are read from device
// memory, so that a recorded step need not be recorded again.

#include "backends/cuda/kernels/optimizer.h"

#include "backends/cuda/kernels/map.h"

namespace espalier::cuda::kernels {
namespace {

constexpr int kEach = 4;
static_assert(kAdamWPart == int64_t{kMapThreads} * kEach);

struct AdamWRule {
  AdamWOptions o;
  __device__ void operator()(const AdamWState& s, unsigned part) const {
    const int64_t begin = static_cast<int64_t>(part) * kAdamWPart + threadIdx.x * kEach;
    if (begin >= s.count) return;
    const auto keep = static_cast<float>(1 - static_cast<double>(s.hyper[0]) * o.weight_decay);
    const float scale = s.hyper[1], step = s.hyper[0] / s.hyper[2], root = 1 / sqrtf(s.hyper[3]);
    const auto one = [&](float& weight, float gradient, float& first, float& second) {
      gradient *= scale;
      first = o.beta1 * first + o.rest1 * gradient;
      second = o.beta2 * second + o.rest2 * (gradient * gradient);
      weight = weight * keep - step * first / (sqrtf(second) * root + o.eps);
    };
    if (begin + kEach <= s.count) {
      using R = Run<float, kEach>;
      R weight = *reinterpret_cast<const R*>(s.p + begin), first = *reinterpret_cast<const R*>(s.m + begin),
        second = *reinterpret_cast<const R*>(s.v + begin);
      const R gradient = *reinterpret_cast<const R*>(s.g + begin);
#pragma unroll
      for (int i = 0; i < kEach; ++i) one(weight.at[i], gradient.at[i], first.at[i], second.at[i]);
      *reinterpret_cast<R*>(s.new_p + begin) = weight;
      *reinterpret_cast<R*>(s.new_m + begin) = first;
      *reinterpret_cast<R*>(s.new_v + begin) = second;
      return;
    }
    for (int64_t i = begin; i < s.count; ++i) {
      float weight = s.p[i], first = s.m[i], second = s.v[i];
      one(weight, s.g[i], first, second);
      s.new_p[i] = weight;
      s.new_m[i] = first;
      s.new_v[i] = second;
    }
  }
};

struct EmaRule {
  __device__ void operator()(const EmaState& s, unsigned part) const {
    const int64_t begin = static_cast<int64_t>(part) * kEmaPart;
    for (int64_t i = begin + threadIdx.x; i < s.count && i < begin + kEmaPart; i += kMapThreads)
      s.out[i] = s.x[i] + *s.decay * (s.average[i] - s.x[i]);
  }
};

struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};

}  // namespace

void adamw(Stream stream, const AdamWOptions& options, const AdamWState* states, const Chunk* chunks, unsigned count) {
  launch_many<kMapThreads>(stream, AdamWRule{options}, states, chunks, count);
}

void ema(Stream stream, const EmaState* states, const Chunk* chunks, unsigned count) {
  launch_many<kMapThreads>(stream, EmaRule{}, states, chunks, count);
}

void accumulate(Stream stream, int32_t dtype, const void* sum, const void* x, void* out, int64_t count) {
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    map(stream, Sum{}, count, static_cast<T*>(out), static_cast<const T*>(sum), static_cast<const T*>(x));
  });
}

}  // namespace espalier::cuda::kernels
