// layer_norm, its gradients and softmax: a block a row. The gradient of weight and bias first takes every row's moments, then
// sums columns over stripes of rows, then joins the stripes in order.

#include "backends/cuda/kernels/layer_norm.h"

#include "backends/cuda/kernels/row_block.h"

namespace espalier::cuda::kernels {
namespace {

constexpr unsigned kWarps = kBlockRow / kWarpThreads;
constexpr int64_t kMostStripes = 128, kColumns = 32, kLines = 8;

template <typename T, typename P>
__global__ void __launch_bounds__(kBlockRow)
    layer_norm_kernel(const T* x, const T* weight, const T* bias, T* out, int width, float eps) {
  ESP_SHARED(float, scratch, kWarps);
  const T* row = x + static_cast<int64_t>(blockIdx.x) * width;
  const Moments m = moments_of_row<P>(row, width, eps, scratch);
  map_row<P>(row, out + static_cast<int64_t>(blockIdx.x) * width, width,
             [&](int c, float value) { return (value - m.mean) * m.rstd * widen(weight[c]) + widen(bias[c]); });
}

template <typename T, typename P>
__global__ void __launch_bounds__(kBlockRow)
    layer_norm_grad_input_kernel(const T* d, const T* x, const T* weight, T* out, int width, float eps) {
  ESP_SHARED(float, scratch, kWarps);
  const int64_t at = static_cast<int64_t>(blockIdx.x) * width;
  const Moments m = moments_of_row<P>(x + at, width, eps, scratch);
  const auto scaled = [&](int c, float cotangent) { return weight == nullptr ? cotangent : cotangent * widen(weight[c]); };
  const auto normal = [&](int c) { return (widen(x[at + c]) - m.mean) * m.rstd; };
  float sum = 0, along = 0;
  for_row<P>(d + at, width, [&](int c, float cotangent) {
    const float dx = scaled(c, cotangent);
    sum += dx;
    along += dx * normal(c);
  });
  const float mean_sum = block_reduce<kBlockRow>(sum, scratch, Plus{}) / static_cast<float>(width);
  const float mean_along = block_reduce<kBlockRow>(along, scratch, Plus{}) / static_cast<float>(width);
  map_row<P>(d + at, out + at, width,
             [&](int c, float cotangent) { return (scaled(c, cotangent) - mean_sum - normal(c) * mean_along) * m.rstd; });
}

template <typename T, typename P>
__global__ void __launch_bounds__(kBlockRow) row_moments_kernel(const T* x, Moments* out, int width, float eps) {
  ESP_SHARED(float, scratch, kWarps);
  const Moments m = moments_of_row<P>(x + static_cast<int64_t>(blockIdx.x) * width, width, eps, scratch);
  if (threadIdx.x == 0) out[blockIdx.x] = m;
}

template <typename T>
__global__ void __launch_bounds__(kColumns* kLines)
    affine_stripes_kernel(const T* d, const T* x, const Moments* moments, float* partial, int64_t rows, int64_t rows_of_stripe,
                          int width) {
  ESP_SHARED(float, along, kColumns* kLines);
  ESP_SHARED(float, plain, kColumns* kLines);
  const int c = static_cast<int>(blockIdx.x * kColumns + threadIdx.x);
  const int64_t begin = blockIdx.y * rows_of_stripe, end = begin + rows_of_stripe < rows ? begin + rows_of_stripe : rows;
  float sum_along = 0, sum = 0;
  if (c < width)
    for (int64_t r = begin + threadIdx.y; r < end; r += kLines) {
      const float cotangent = widen(d[r * width + c]);
      sum_along += cotangent * (widen(x[r * width + c]) - moments[r].mean) * moments[r].rstd;
      sum += cotangent;
    }
  along[threadIdx.y * kColumns + threadIdx.x] = sum_along;
  plain[threadIdx.y * kColumns + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || c >= width) return;
  for (int line = 1; line < kLines; ++line) {
    sum_along += along[line * kColumns + threadIdx.x];
    sum += plain[line * kColumns + threadIdx.x];
  }
  partial[(static_cast<int64_t>(blockIdx.y) * 2) * width + c] = sum_along;
  partial[(static_cast<int64_t>(blockIdx.y) * 2 + 1) * width + c] = sum;
}

template <typename T>
__global__ void __launch_bounds__(kBlockRow) join_stripes_kernel(const float* partial, T* out, int count, int stripes) {
  const int i = static_cast<int>(blockIdx.x * kBlockRow + threadIdx.x);
  if (i >= count) return;
  float sum = 0;
  for (int s = 0; s < stripes; ++s) sum += partial[static_cast<int64_t>(s) * count + i];
  out[i] = narrow<T>(sum);
}

template <typename T, typename P>
__global__ void __launch_bounds__(kBlockRow) softmax_kernel(const T* x, T* out, int width) {
  ESP_SHARED(float, scratch, kWarps);
  const T* row = x + static_cast<int64_t>(blockIdx.x) * width;
  float largest = -INFINITY, sum = 0;
  for_row<P>(row, width, [&](int, float value) { largest = Larger{}(value, largest); });
  largest = block_reduce<kBlockRow>(largest, scratch, Larger{});
  for_row<P>(row, width, [&](int, float value) { sum += expf(value - largest); });
  const float scale = 1.0f / block_reduce<kBlockRow>(sum, scratch, Plus{});
  map_row<P>(row, out + static_cast<int64_t>(blockIdx.x) * width, width,
             [&](int, float value) { return expf(value - largest) * scale; });
}

uint64_t moment_bytes(int64_t rows) { return (static_cast<uint64_t>(rows) * sizeof(Moments) + 63) / 64 * 64; }
int64_t stripes_of(int64_t rows) {
  const int64_t wanted = (rows + 63) / 64;
  return wanted < kMostStripes ? wanted : kMostStripes;
}

}  // namespace

void layer_norm(Stream stream, int32_t dtype, const void* x, const void* weight, const void* bias, void* out, int64_t rows,
                int64_t width, float eps) {
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    launch_rows<T>(stream, rows, width, layer_norm_kernel<T, Pack<T>>, layer_norm_kernel<T, Single<T>>, static_cast<const T*>(x),
                   static_cast<const T*>(weight), static_cast<const T*>(bias), static_cast<T*>(out), static_cast<int>(width),
                   eps);
  });
}

void layer_norm_grad_input(Stream stream, int32_t dtype, const void* d, const void* x, const void* weight, void* out,
                           int64_t rows, int64_t width, float eps) {
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    launch_rows<T>(stream, rows, width, layer_norm_grad_input_kernel<T, Pack<T>>, layer_norm_grad_input_kernel<T, Single<T>>,
                   static_cast<const T*>(d), static_cast<const T*>(x), static_cast<const T*>(weight), static_cast<T*>(out),
                   static_cast<int>(width), eps);
  });
}

uint64_t layer_norm_grad_affine_bytes(int64_t rows, int64_t width) {
  return moment_bytes(rows) + static_cast<uint64_t>(stripes_of(rows) * 2 * width) * 4;
}

void layer_norm_grad_affine(Stream stream, int32_t dtype, const void* d, const void* x, void* out, int64_t rows, int64_t width,
                            float eps, void* workspace) {
  if (width == 0) return;
  auto* moments = static_cast<Moments*>(workspace);
  auto* partial = reinterpret_cast<float*>(static_cast<char*>(workspace) + moment_bytes(rows));
  const int64_t stripes = stripes_of(rows);
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    launch_rows<T>(stream, rows, width, row_moments_kernel<T, Pack<T>>, row_moments_kernel<T, Single<T>>,
                   static_cast<const T*>(x), moments, static_cast<int>(width), eps);
    if (stripes > 0)
      launch(stream, dim3{static_cast<unsigned>((width + kColumns - 1) / kColumns), static_cast<unsigned>(stripes), 1},
             dim3{kColumns, kLines, 1}, affine_stripes_kernel<T>, static_cast<const T*>(d), static_cast<const T*>(x), moments,
             partial, rows, (rows + stripes - 1) / stripes, static_cast<int>(width));
    launch(stream, dim3{static_cast<unsigned>((2 * width + kBlockRow - 1) / kBlockRow), 1, 1}, dim3{kBlockRow, 1, 1},
           join_stripes_kernel<T>, partial, static_cast<T*>(out), static_cast<int>(2 * width), static_cast<int>(stripes));
  });
}

void softmax(Stream stream, int32_t dtype, const void* x, void* out, int64_t rows, int64_t width) {
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    launch_rows<T>(stream, rows, width, softmax_kernel<T, Pack<T>>, softmax_kernel<T, Single<T>>, static_cast<const T*>(x),
                   static_cast<T*>(out), static_cast<int>(width));
  });
}

}  // namespace espalier::cuda::kernels
