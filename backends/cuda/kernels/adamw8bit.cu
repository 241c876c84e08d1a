// A block of threads for each block of 256 elements. The op's arithmetic is defined to the bit: every product and sum is rounded
// by itself, here by intrinsics that no compiler joins, on the host because this file is compiled without contraction.

#include "backends/cuda/kernels/adamw8bit.h"

#include "backends/cuda/kernels/block_reduce.h"

namespace espalier::cuda::kernels {
namespace {

constexpr unsigned kBlock = 256;

#if defined(__CUDACC__)
__device__ inline float times(float a, float b) { return __fmul_rn(a, b); }
__device__ inline double times(double a, double b) { return __dmul_rn(a, b); }
__device__ inline float plus(float a, float b) { return __fadd_rn(a, b); }
#else
inline float times(float a, float b) { return a * b; }
inline double times(double a, double b) { return a * b; }
inline float plus(float a, float b) { return a + b; }
#endif

/// Larger of two numbers, none of them negative; NaN never wins, as in std::max of the scale so far.
struct LargestNumber {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

/// How many borders lie below x.
__device__ inline unsigned nearest(const float* borders, float x) {
  unsigned code = 0;
  for (unsigned half = 128; half != 0; half /= 2) code += x > borders[code + half] ? half : 0;
  return code;
}

__global__ void __launch_bounds__(kBlock)
    adamw8bit_kernel(AdamWOptions o, CodeTables tables, const float* hyper, AdamW8bitState s, int64_t count) {
  ESP_SHARED(float, with_sign, 512);
  ESP_SHARED(float, without, 512);
  ESP_SHARED(float, scratch, kBlock / kWarpThreads);
  for (unsigned i = threadIdx.x; i < 512; i += kBlock) {
    with_sign[i] = tables.with_sign[i];
    without[i] = tables.without[i];
  }
  __syncthreads();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kBlock + threadIdx.x;
  const bool there = i < count;
  float first = 0, second = 0;
  if (there) {
    const auto keep = static_cast<float>(1 - times(static_cast<double>(hyper[0]), o.weight_decay));
    const float step = hyper[0] / hyper[2], root = 1 / sqrtf(hyper[3]), gradient = times(s.g[i], hyper[1]);
    first = plus(times(o.beta1, times(with_sign[s.m[i]], s.m_scale[blockIdx.x])), times(o.rest1, gradient));
    second = plus(times(o.beta2, times(without[s.v[i]], s.v_scale[blockIdx.x])), times(o.rest2, times(gradient, gradient)));
    s.new_p[i] = plus(times(s.p[i], keep), -(times(step, first) / plus(times(sqrtf(second), root), o.eps)));
  }
  const float m_scale = block_reduce<kBlock>(fmaxf(0.0f, fabsf(first)), scratch, LargestNumber{});
  const float v_scale = block_reduce<kBlock>(fmaxf(0.0f, second), scratch, LargestNumber{});
  if (there) {
    s.new_m[i] = static_cast<uint8_t>(nearest(with_sign + 256, m_scale > 0 ? first / m_scale : 0.0f));
    const unsigned code = nearest(without + 256, v_scale > 0 ? second / v_scale : 0.0f);
    s.new_v[i] = static_cast<uint8_t>(second > 0 && code == 0 ? 1 : code);
  }
  if (threadIdx.x == 0) {
    s.new_m_scale[blockIdx.x] = m_scale;
    s.new_v_scale[blockIdx.x] = v_scale;
  }
}

}  // namespace

void adamw8bit(Stream stream, const AdamWOptions& options, const CodeTables& tables, const float* hyper,
               const AdamW8bitState& state, int64_t count) {
  if (count == 0) return;
  launch(stream, dim3{static_cast<unsigned>((count + kBlock - 1) / kBlock), 1, 1}, dim3{kBlock, 1, 1}, adamw8bit_kernel, options,
         tables, hyper, state, count);
}

}  // namespace espalier::cuda::kernels
