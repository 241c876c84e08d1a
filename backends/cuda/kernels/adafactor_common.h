#pragma once
// What both forms of adafactor share: sums in double whose order is fixed, and the update of an element.

#include "backends/cuda/kernels/adafactor.h"
#include "backends/cuda/kernels/block_reduce.h"
#include "backends/cuda/kernels/ends.h"

namespace espalier::cuda::kernels::adafactor_common {

constexpr int kLanes = static_cast<int>(kWarpThreads);
constexpr int kThreads = 256, kWarps = kThreads / kLanes, kEach = 4;
constexpr int kOneBlock = 1024;  // threads of a kernel that is one block

/// std::max: `a` where either is NaN, unlike fmax.
template <typename T>
__host__ __device__ inline T larger(T a, T b) {
  return a < b ? b : a;
}

__device__ inline double sum_of_warp(double x) { return warp_reduce(x, Plus{}); }
/// Every thread of the block gets it. A barrier of the block comes before.
template <int kThreadsOfBlock>
__device__ inline double sum_of_block(double x) {
  ESP_SHARED(double, parts, kThreadsOfBlock / kLanes);
  return block_reduce<kThreadsOfBlock>(x, parts, Plus{});
}

/// Σ of `count` parts by a kernel of one block.
__device__ inline double sum_of_parts(const double* parts, int64_t count) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kOneBlock) sum += parts[i];
  return sum_of_block<kOneBlock>(sum);
}

__device__ inline double square(float x) { return static_cast<double>(x) * x; }

/// An element's update, before the step size. The comparison lets NaN through.
__device__ inline float update_of(float g, float scale, float moment, float least) {
  return g * scale * rsqrtf(larger(moment, least));
}

/// What the last pass multiplies by.
struct Sizes {
  float step, keep;
};

/// Starts a block that makes them of the square sums of tensor and update, `parts` each, over `count` elements.
void sizes(Stream stream, const AdafactorOptions& options, const double* p_squares, const double* u_squares, int64_t parts,
           int64_t count, const float* hyper, Sizes* to);

}  // namespace espalier::cuda::kernels::adafactor_common
