// The second moment is of the element alone, so one pass has it and both square sums, and another applies the step.

#include "backends/cuda/kernels/adafactor_common.h"

namespace espalier::cuda::kernels {
namespace {

using namespace adafactor_common;

constexpr int kSpanSteps = 4, kSpan = kThreads * kEach * kSpanSteps;  // elements that a block takes

/// One block: step and keep from what tiles left.
__global__ void __launch_bounds__(kOneBlock)
    sizes_kernel(AdafactorOptions options, const double* p_squares, const double* u_squares, int64_t parts, int64_t count,
                 const float* hyper, Sizes* sizes) {
  const double p_rms = sqrt(sum_of_parts(p_squares, parts) / static_cast<double>(count));
  const double u_rms = sqrt(sum_of_parts(u_squares, parts) / static_cast<double>(count));
  if (threadIdx.x != 0) return;
  const double size = larger(options.min_rms, p_rms) * hyper[3];
  sizes->step = static_cast<float>(size / larger(1.0, u_rms / options.clip_rms));
  sizes->keep = static_cast<float>(1 - hyper[0] * options.weight_decay);
}

int64_t spans(int64_t count) { return (count + kSpan - 1) / kSpan; }

/// The second moment, and the square sums of a span's tensor and update.
__global__ void __launch_bounds__(kThreads)
    vector_sums_kernel(AdafactorVectorMemory at, int64_t count, float least, double* p_squares, double* u_squares) {
  const float scale = at.hyper[1], newest = at.hyper[2];
  double p_sum = 0, u_sum = 0;
#pragma unroll
  for (int step = 0; step < kSpanSteps; ++step) {
    const int64_t i = blockIdx.x * int64_t{kSpan} + (step * kThreads + static_cast<int>(threadIdx.x)) * kEach, left = count - i;
    if (left <= 0) continue;
    const auto p = load_run<kEach>(at.p + i, left), g = load_run<kEach>(at.g + i, left);
    auto v = load_run<kEach>(at.v + i, left);
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      const float gradient = g.at[k] * scale;
      v.at[k] += newest * (gradient * gradient - v.at[k]);
      if (k >= left) continue;
      p_sum += square(p.at[k]);
      u_sum += square(update_of(g.at[k], scale, v.at[k], least));
    }
    store_run<kEach>(at.new_v + i, v, left);
  }
  p_sum = sum_of_block<kThreads>(p_sum);
  u_sum = sum_of_block<kThreads>(u_sum);
  if (threadIdx.x != 0) return;
  p_squares[blockIdx.x] = p_sum;
  u_squares[blockIdx.x] = u_sum;
}

__global__ void __launch_bounds__(kThreads)
    vector_apply_kernel(AdafactorVectorMemory at, int64_t count, float least, const Sizes* from) {
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kEach, left = count - i;
  if (left <= 0) return;
  const float scale = at.hyper[1];
  const Sizes sizes = *from;
  auto p = load_run<kEach>(at.p + i, left);
  const auto g = load_run<kEach>(at.g + i, left), v = load_run<kEach>(at.new_v + i, left);
#pragma unroll
  for (int k = 0; k < kEach; ++k) p.at[k] = p.at[k] * sizes.keep - sizes.step * update_of(g.at[k], scale, v.at[k], least);
  store_run<kEach>(at.new_p + i, p, left);
}

}  // namespace

void adafactor_common::sizes(Stream stream, const AdafactorOptions& options, const double* p_squares, const double* u_squares,
                             int64_t parts, int64_t count, const float* hyper, Sizes* to) {
  launch(stream, dim3{1, 1, 1}, dim3{kOneBlock, 1, 1}, sizes_kernel, options, p_squares, u_squares, parts, count, hyper, to);
}

uint64_t adafactor_vector_workspace_bytes(int64_t count) {
  return static_cast<uint64_t>(spans(count)) * 2 * sizeof(double) + sizeof(Sizes);
}

void adafactor_vector(Stream stream, const AdafactorOptions& options, const AdafactorVectorMemory& at, int64_t count,
                      void* workspace) {
  if (count == 0) return;
  const int64_t parts = spans(count);
  auto* const p_squares = static_cast<double*>(workspace);
  double* const u_squares = p_squares + parts;
  auto* const to = reinterpret_cast<Sizes*>(u_squares + parts);
  const float least = options.eps * options.eps;
  launch(stream, dim3{static_cast<unsigned>(parts), 1, 1}, dim3{kThreads, 1, 1}, vector_sums_kernel, at, count, least, p_squares,
         u_squares);
  sizes(stream, options, p_squares, u_squares, parts, count, at.hyper, to);
  const int64_t blocks = (count + kThreads * kEach - 1) / (kThreads * kEach);
  launch(stream, dim3{static_cast<unsigned>(blocks), 1, 1}, dim3{kThreads, 1, 1}, vector_apply_kernel, at, count, least, to);
}

}  // namespace espalier::cuda::kernels
