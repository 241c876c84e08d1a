// A block of threads takes sixteen blocks of 256 elements, one after another: the tables are read once for them. The op's
// arithmetic is defined to the bit: every product and sum is rounded by itself, here by intrinsics that no compiler joins, on the
// host because this file is compiled without contraction.

#include "backends/cuda/kernels/adamw8bit.h"

#include "backends/cuda/kernels/block_reduce.h"

namespace espalier::cuda::kernels {
namespace {

constexpr unsigned kBlock = 256, kBlocks = kAdamW8bitPart / kBlock;

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

struct AdamW8bitRule {
  AdamWOptions o;
  CodeTables tables;
  __device__ void operator()(const AdamW8bitState& s, unsigned part) const {
    ESP_SHARED(float, with_sign, 512);
    ESP_SHARED(float, without, 512);
    ESP_SHARED(float, scratch, kBlock / kWarpThreads);
    for (unsigned i = threadIdx.x; i < 512; i += kBlock) {
      with_sign[i] = tables.with_sign[i];
      without[i] = tables.without[i];
    }
    __syncthreads();
    const auto keep = static_cast<float>(1 - times(static_cast<double>(s.hyper[0]), o.weight_decay));
    const float step = s.hyper[0] / s.hyper[2], root = 1 / sqrtf(s.hyper[3]), scale = s.hyper[1];
    const int64_t first_block = static_cast<int64_t>(part) * kBlocks;
    for (int64_t block = first_block; block < first_block + kBlocks && block * kBlock < s.count; ++block) {
      const int64_t i = block * kBlock + threadIdx.x;
      const bool there = i < s.count;
      float first = 0, second = 0;
      if (there) {
        const float gradient = times(s.g[i], scale);
        first = plus(times(o.beta1, times(with_sign[s.m[i]], s.m_scale[block])), times(o.rest1, gradient));
        second = plus(times(o.beta2, times(without[s.v[i]], s.v_scale[block])), times(o.rest2, times(gradient, gradient)));
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
        s.new_m_scale[block] = m_scale;
        s.new_v_scale[block] = v_scale;
      }
    }
  }
};

}  // namespace

void adamw8bit(Stream stream, const AdamWOptions& options, const CodeTables& tables, const AdamW8bitState* states,
               const Chunk* chunks, unsigned count) {
  launch_many<kBlock>(stream, AdamW8bitRule{options, tables}, states, chunks, count);
}

}  // namespace espalier::cuda::kernels
