// Two steps: blocks make partial results, each of a fixed stripe of what is reduced, then the stripes are joined in order. Where
// rows are summed into the innermost dimension, as for a bias, consecutive threads take consecutive columns; anywhere else a
// block has one element of the result and its threads take turns.

#include "backends/cuda/kernels/reduce.h"

#include "backends/cuda/kernels/block_reduce.h"
#include "backends/cuda/kernels/walk.h"

namespace espalier::cuda::kernels {
namespace {

constexpr unsigned kThreads = 256, kColumns = 32, kLines = 8;
constexpr int64_t kMostStripes = 256, kLeastOfStripe = 2048, kLeastRows = 64;

template <Reduction kKind>
struct Rule {
  __device__ static float begin() { return kKind == Reduction::kMax ? -INFINITY : 0.0f; }
  __device__ static float take(float x) { return kKind == Reduction::kSquares ? x * x : x; }
  __device__ float operator()(float a, float b) const {
    if constexpr (kKind == Reduction::kMax) return Larger{}(a, b);
    return a + b;
  }
};

__device__ inline int64_t offset_of(const Axes<1>& axes, unsigned index) { return offsets(axes, axes.rank, index).of[0]; }

template <typename T, typename R>
__global__ void __launch_bounds__(kThreads)
    blocks_kernel(Axes<1> kept, Axes<1> gone, const T* x, float* partial, unsigned length, unsigned of_stripe) {
  ESP_SHARED(float, scratch, kThreads / kWarpThreads);
  const R rule{};
  const T* from = x + offset_of(kept, blockIdx.x);
  const unsigned begin = blockIdx.y * of_stripe, end = begin + of_stripe < length ? begin + of_stripe : length;
  float sum = R::begin();
  for (unsigned i = begin + threadIdx.x; i < end; i += kThreads) sum = rule(sum, R::take(widen(from[offset_of(gone, i)])));
  sum = block_reduce<kThreads>(sum, scratch, rule);
  if (threadIdx.x == 0) partial[static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x] = sum;
}

template <typename T, typename R>
__global__ void __launch_bounds__(kColumns* kLines)
    columns_kernel(const T* x, float* partial, unsigned rows, unsigned of_stripe, unsigned width) {
  ESP_SHARED(float, lines, kColumns* kLines);
  const R rule{};
  const unsigned c = blockIdx.x * kColumns + threadIdx.x;
  const unsigned begin = blockIdx.y * of_stripe, end = begin + of_stripe < rows ? begin + of_stripe : rows;
  float sum = R::begin();
  if (c < width)
    for (unsigned r = begin + threadIdx.y; r < end; r += kLines)
      sum = rule(sum, R::take(widen(x[static_cast<int64_t>(r) * width + c])));
  lines[threadIdx.y * kColumns + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || c >= width) return;
  for (unsigned line = 1; line < kLines; ++line) sum = rule(sum, lines[line * kColumns + threadIdx.x]);
  partial[static_cast<int64_t>(blockIdx.y) * width + c] = sum;
}

template <typename T, typename R>
__global__ void __launch_bounds__(kThreads) join_kernel(const float* partial, T* out, int64_t count, int stripes, float scale) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  const R rule{};
  float sum = R::begin();
  for (int s = 0; s < stripes; ++s) sum = rule(sum, partial[s * count + i]);
  out[i] = narrow<T>(sum * scale);
}

bool by_columns(const Axes<1>& kept, const Axes<1>& gone) {
  return kept.rank == 1 && gone.rank == 1 && kept.step[0][0] == 1 && kept.extent[0] > 1 && gone.step[0][0] == kept.extent[0];
}
int64_t stripes_of(const Axes<1>& kept, const Axes<1>& gone) {
  const int64_t least = by_columns(kept, gone) ? kLeastRows : kLeastOfStripe;
  const int64_t wanted = (gone.count() + least - 1) / least;
  return wanted < 1 ? 1 : wanted < kMostStripes ? wanted : kMostStripes;
}

template <typename T, typename R>
void run(Stream stream, const Axes<1>& kept, const Axes<1>& gone, const T* x, T* out, float* partial, bool mean) {
  const int64_t count = kept.count(), length = gone.count(), stripes = stripes_of(kept, gone);
  const auto of_stripe = static_cast<unsigned>((length + stripes - 1) / stripes);
  if (by_columns(kept, gone))
    launch(stream, dim3{static_cast<unsigned>((count + kColumns - 1) / kColumns), static_cast<unsigned>(stripes), 1},
           dim3{kColumns, kLines, 1}, columns_kernel<T, R>, x, partial, static_cast<unsigned>(length), of_stripe,
           static_cast<unsigned>(count));
  else
    launch(stream, dim3{static_cast<unsigned>(count), static_cast<unsigned>(stripes), 1}, dim3{kThreads, 1, 1},
           blocks_kernel<T, R>, kept, gone, x, partial, static_cast<unsigned>(length), of_stripe);
  launch(stream, dim3{static_cast<unsigned>((count + kThreads - 1) / kThreads), 1, 1}, dim3{kThreads, 1, 1}, join_kernel<T, R>,
         partial, out, count, static_cast<int>(stripes), mean ? 1.0f / static_cast<float>(length) : 1.0f);
}

struct SquaresOfStripe {
  __device__ void operator()(const SquaresState& s, unsigned part) const {
    ESP_SHARED(float, scratch, kThreads / kWarpThreads);
    const Rule<Reduction::kSquares> rule{};
    const int64_t begin = part * s.of_stripe, end = begin + s.of_stripe < s.count ? begin + s.of_stripe : s.count;
    float sum = 0;
    for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) sum = rule(sum, rule.take(s.x[i]));
    sum = block_reduce<kThreads>(sum, scratch, rule);
    if (threadIdx.x == 0) s.partial[part] = sum;
  }
};
struct SumOfStripes {
  __device__ void operator()(const SquaresState& s, unsigned) const {
    if (threadIdx.x != 0) return;
    float sum = 0;
    for (int64_t i = 0; i < s.stripes; ++i) sum += s.partial[i];
    *s.out = sum;
  }
};

}  // namespace

void stripe(SquaresState& state, int64_t count) {
  const int64_t wanted = (count + kLeastOfStripe - 1) / kLeastOfStripe;
  const int64_t stripes = wanted < 1 ? 1 : wanted < kMostStripes ? wanted : kMostStripes;
  state.count = count, state.stripes = stripes, state.of_stripe = (count + stripes - 1) / stripes;
}

void squared_norms(Stream stream, const SquaresState* states, const Chunk* stripes, unsigned stripe_count, const Chunk* tensors,
                   unsigned tensor_count) {
  launch_many<kThreads>(stream, SquaresOfStripe{}, states, stripes, stripe_count);
  launch_many<kWarpThreads>(stream, SumOfStripes{}, states, tensors, tensor_count);
}

uint64_t reduce_bytes(const Axes<1>& kept, const Axes<1>& gone) {
  return static_cast<uint64_t>(stripes_of(kept, gone) * kept.count()) * 4;
}

void reduce(Stream stream, Reduction kind, int32_t dtype, const Axes<1>& kept, const Axes<1>& gone, const void* x, void* out,
            void* workspace) {
  if (kept.count() == 0) return;
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    const auto go = [&](auto rule) {
      run<T, decltype(rule)>(stream, kept, gone, static_cast<const T*>(x), static_cast<T*>(out), static_cast<float*>(workspace),
                             kind == Reduction::kMean);
    };
    switch (kind) {
      case Reduction::kMax:
        return go(Rule<Reduction::kMax>{});
      case Reduction::kMean:
      case Reduction::kSum:
        return go(Rule<Reduction::kSum>{});
      case Reduction::kSquares:
        return go(Rule<Reduction::kSquares>{});
    }
  });
}

}  // namespace espalier::cuda::kernels
