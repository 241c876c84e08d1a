// A group's channels are neighbours in every position, so that one group is many short runs of memory. All three kernels first
// take two sums for each channel over parts of the positions (consecutive threads on consecutive channels, many blocks for one
// image), then join them in order into the group's: x and x² about the first position's value, so that a large mean does not
// cancel; or d·w and d·w·x̂.

#include "backends/cuda/kernels/group_norm.h"

#include "backends/cuda/kernels/rows.h"

namespace espalier::cuda::kernels {
namespace {

constexpr unsigned kChannels = 32, kLines = 8;
constexpr int64_t kMostParts = 64, kLeastOfPart = 64;
constexpr unsigned kThreads = 128;

struct Pair {
  float a, b;
};

int64_t parts_of(const GroupShape& s) {
  const int64_t wanted = (s.positions + kLeastOfPart - 1) / kLeastOfPart;
  return wanted < kMostParts ? wanted : kMostParts;
}

/// Two sums over the positions of a part for each channel: partial [n][part][c].
template <typename F>
__global__ void __launch_bounds__(kChannels* kLines) channel_sums_kernel(F f, Pair* partial, int positions, int of_part, int c) {
  ESP_SHARED(float, first, kChannels* kLines);
  ESP_SHARED(float, second, kChannels* kLines);
  const int channel = static_cast<int>(blockIdx.x * kChannels + threadIdx.x);
  const int begin = static_cast<int>(blockIdx.y) * of_part, end = begin + of_part < positions ? begin + of_part : positions;
  Pair sum{0, 0};
  if (channel < c)
    for (int p = begin + static_cast<int>(threadIdx.y); p < end; p += static_cast<int>(kLines)) {
      const Pair one = f(static_cast<int>(blockIdx.z), p, channel);
      sum.a += one.a;
      sum.b += one.b;
    }
  first[threadIdx.y * kChannels + threadIdx.x] = sum.a;
  second[threadIdx.y * kChannels + threadIdx.x] = sum.b;
  __syncthreads();
  if (threadIdx.y != 0 || channel >= c) return;
  for (unsigned line = 1; line < kLines; ++line) {
    sum.a += first[line * kChannels + threadIdx.x];
    sum.b += second[line * kChannels + threadIdx.x];
  }
  partial[(static_cast<int64_t>(blockIdx.z) * gridDim.y + blockIdx.y) * c + channel] = sum;
}

dim3 part_grid(const GroupShape& s) {
  return dim3{static_cast<unsigned>((s.c + kChannels - 1) / kChannels), static_cast<unsigned>(parts_of(s)),
              static_cast<unsigned>(s.n)};
}

template <typename F>
void channel_sums(Stream stream, F f, const GroupShape& s, Pair* partial) {
  const int64_t parts = parts_of(s);
  launch(stream, part_grid(s), dim3{kChannels, kLines, 1}, channel_sums_kernel<F>, f, partial, static_cast<int>(s.positions),
         static_cast<int>((s.positions + parts - 1) / parts), static_cast<int>(s.c));
}

/// Mean and squares about it over the positions of a part for each channel, the squares in a second look at what the caches hold:
/// a large mean does not cancel, nor does an odd first value.
template <typename T>
__global__ void __launch_bounds__(kChannels* kLines)
    part_moments_kernel(const T* x, Pair* partial, int positions, int of_part, int c) {
  ESP_SHARED(float, sums, kChannels* kLines);
  const int channel = static_cast<int>(blockIdx.x * kChannels + threadIdx.x);
  const int begin = static_cast<int>(blockIdx.y) * of_part, end = begin + of_part < positions ? begin + of_part : positions;
  const T* of_image = x + static_cast<int64_t>(blockIdx.z) * positions * c;
  const auto over_part = [&](auto take) {
    float sum = 0;
    if (channel < c)
      for (int p = begin + static_cast<int>(threadIdx.y); p < end; p += static_cast<int>(kLines))
        sum += take(widen(of_image[static_cast<int64_t>(p) * c + channel]));
    __syncthreads();
    sums[threadIdx.y * kChannels + threadIdx.x] = sum;
    __syncthreads();
    float all = 0;
    for (unsigned line = 0; line < kLines; ++line) all += sums[line * kChannels + threadIdx.x];
    return all;
  };
  const float mean = over_part([](float value) { return value; }) / static_cast<float>(end > begin ? end - begin : 1);
  const float squares = over_part([mean](float value) { return (value - mean) * (value - mean); });
  if (threadIdx.y == 0 && channel < c)
    partial[(static_cast<int64_t>(blockIdx.z) * gridDim.y + blockIdx.y) * c + channel] = {mean, squares};
}

template <typename T>
struct Gradient {
  const T *d, *x, *weight;
  const Pair* moments;  // [n][groups]: mean, 1/√(var + eps)
  int positions, c, width;
  __device__ float scaled(int64_t at, int channel) const {
    return weight == nullptr ? widen(d[at]) : widen(d[at]) * widen(weight[channel]);
  }
  __device__ float normal(int image, int64_t at, int channel) const {
    const Pair m = moments[image * (c / width) + channel / width];
    return (widen(x[at]) - m.a) * m.b;
  }
  __device__ Pair operator()(int image, int position, int channel) const {
    const int64_t at = (static_cast<int64_t>(image) * positions + position) * c + channel;
    const float dx = scaled(at, channel);
    return {dx, dx * normal(image, at, channel)};
  }
};

/// A thread for each (image, group): mean and 1/√(var + eps) of what its channels' parts have.
__global__ void __launch_bounds__(kThreads) moments_kernel(const Pair* partial, Pair* out, int count, int groups, int width,
                                                           int positions, int of_part, int parts, float eps) {
  const int at = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (at >= count) return;
  const int image = at / groups, c = groups * width, begin = at % groups * width;
  const auto over_parts = [&](auto take) {
    float sum = 0;
    for (int part = 0; part < parts; ++part) {
      const int there = positions - part * of_part < of_part ? positions - part * of_part : of_part;
      for (int channel = begin; channel < begin + width; ++channel)
        sum += take(partial[(static_cast<int64_t>(image) * parts + part) * c + channel], static_cast<float>(there));
    }
    return sum / (static_cast<float>(positions) * static_cast<float>(width));
  };
  const float mean = over_parts([](Pair part, float n) { return n * part.a; });
  const float variance = over_parts([mean](Pair part, float n) { return part.b + n * (part.a - mean) * (part.a - mean); });
  out[at] = {mean, 1.0f / sqrtf(variance + eps)};
}

/// A thread for each (image, group): the means of both sums over the group.
__global__ void __launch_bounds__(kThreads)
    means_kernel(const Pair* partial, Pair* out, int count, int groups, int width, int positions, int parts) {
  const int at = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (at >= count) return;
  const int image = at / groups, c = groups * width, begin = at % groups * width;
  Pair sum{0, 0};
  for (int part = 0; part < parts; ++part)
    for (int channel = begin; channel < begin + width; ++channel) {
      const Pair one = partial[(static_cast<int64_t>(image) * parts + part) * c + channel];
      sum.a += one.a;
      sum.b += one.b;
    }
  const float share = 1.0f / (static_cast<float>(positions) * static_cast<float>(width));
  out[at] = {sum.a * share, sum.b * share};
}

/// A thread for each channel: both sums over images and parts.
template <typename T>
__global__ void __launch_bounds__(kThreads) affine_kernel(const Pair* partial, T* out, int c, int rows) {
  const int channel = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (channel >= c) return;
  Pair sum{0, 0};
  for (int row = 0; row < rows; ++row) {
    const Pair one = partial[static_cast<int64_t>(row) * c + channel];
    sum.a += one.a;
    sum.b += one.b;
  }
  out[channel] = narrow<T>(sum.b);
  out[c + channel] = narrow<T>(sum.a);
}

struct Apply {
  const Pair* moments;
  int positions, c, width;
  bool silu_too;
  template <typename T, typename P>
  __device__ void operator()(int64_t row, int64_t i, const T* x, const T* weight, const T* bias, T* out) const {
    const Pair* of_image = moments + static_cast<int64_t>(static_cast<int>(row) / positions) * (c / width);
    P pack = load<P>(x + row * c + i);
    const P w = load<P>(weight + i), b = load<P>(bias + i);
#pragma unroll
    for (int k = 0; k < P::kCount; ++k) {
      const Pair m = of_image[(static_cast<int>(i) + k) / width];
      const float y = (widen(pack.at[k]) - m.a) * m.b * widen(w.at[k]) + widen(b.at[k]);
      pack.at[k] = narrow<T>(silu_too ? silu(y) : y);
    }
    store(out + row * c + i, pack);
  }
};

template <typename U>
struct ApplyGradient {
  Gradient<U> gradient;
  const Pair* means;
  template <typename T, typename P>
  __device__ void operator()(int64_t row, int64_t i, const T*, T* out) const {
    const int image = static_cast<int>(row) / gradient.positions, groups = gradient.c / gradient.width;
    P pack;
#pragma unroll
    for (int k = 0; k < P::kCount; ++k) {
      const int channel = static_cast<int>(i) + k, group = image * groups + channel / gradient.width;
      const int64_t at = row * gradient.c + channel;
      const Pair mean = means[group];
      const float dx = gradient.scaled(at, channel), normal = gradient.normal(image, at, channel);
      pack.at[k] = narrow<T>((dx - mean.a - normal * mean.b) * gradient.moments[group].b);
    }
    store(out + row * gradient.c + i, pack);
  }
};

/// partial [n][parts][c], moments [n][groups], means [n][groups].
struct Workspace {
  Pair *partial, *moments, *means;
  Workspace(const GroupShape& s, void* at)
      : partial(static_cast<Pair*>(at)), moments(partial + s.n * parts_of(s) * s.c), means(moments + s.n * s.groups) {}
};

unsigned blocks_of(int64_t threads) { return static_cast<unsigned>((threads + kThreads - 1) / kThreads); }

template <typename T>
void take_moments(Stream stream, const GroupShape& s, const T* x, const Workspace& at) {
  const auto positions = static_cast<int>(s.positions), parts = static_cast<int>(parts_of(s)),
             of_part = (positions + parts - 1) / parts;
  launch(stream, part_grid(s), dim3{kChannels, kLines, 1}, part_moments_kernel<T>, x, at.partial, positions, of_part,
         static_cast<int>(s.c));
  launch(stream, dim3{blocks_of(s.n * s.groups), 1, 1}, dim3{kThreads, 1, 1}, moments_kernel, at.partial, at.moments,
         static_cast<int>(s.n * s.groups), static_cast<int>(s.groups), static_cast<int>(s.width()), positions, of_part, parts,
         s.eps);
}

template <typename T>
Gradient<T> gradient_of(const GroupShape& s, const void* d, const void* x, const void* weight, const Workspace& at) {
  return {static_cast<const T*>(d),      static_cast<const T*>(x), static_cast<const T*>(weight), at.moments,
          static_cast<int>(s.positions), static_cast<int>(s.c),    static_cast<int>(s.width())};
}

bool is_empty(const GroupShape& s) { return s.n * s.positions * s.c == 0; }

}  // namespace

uint64_t group_norm_bytes(const GroupShape& s) {
  return static_cast<uint64_t>(s.n * (parts_of(s) * s.c + 2 * s.groups)) * sizeof(Pair);
}

void group_norm(Stream stream, int32_t dtype, const GroupShape& s, const void* x, const void* weight, const void* bias, bool silu,
                void* out, void* workspace) {
  if (is_empty(s)) return;
  const Workspace at(s, workspace);
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    take_moments(stream, s, static_cast<const T*>(x), at);
    over_rows(stream, Apply{at.moments, static_cast<int>(s.positions), static_cast<int>(s.c), static_cast<int>(s.width()), silu},
              s.n * s.positions, s.c, static_cast<const T*>(x), static_cast<const T*>(weight), static_cast<const T*>(bias),
              static_cast<T*>(out));
  });
}

void group_norm_grad_input(Stream stream, int32_t dtype, const GroupShape& s, const void* d, const void* x, const void* weight,
                           void* out, void* workspace) {
  if (is_empty(s)) return;
  const Workspace at(s, workspace);
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    take_moments(stream, s, static_cast<const T*>(x), at);
    const Gradient<T> gradient = gradient_of<T>(s, d, x, weight, at);
    channel_sums(stream, gradient, s, at.partial);
    launch(stream, dim3{blocks_of(s.n * s.groups), 1, 1}, dim3{kThreads, 1, 1}, means_kernel, at.partial, at.means,
           static_cast<int>(s.n * s.groups), static_cast<int>(s.groups), static_cast<int>(s.width()),
           static_cast<int>(s.positions), static_cast<int>(parts_of(s)));
    over_rows(stream, ApplyGradient<T>{gradient, at.means}, s.n * s.positions, s.c, static_cast<const T*>(x),
              static_cast<T*>(out));
  });
}

void group_norm_grad_affine(Stream stream, int32_t dtype, const GroupShape& s, const void* d, const void* x, void* out,
                            void* workspace) {
  if (s.c == 0) return;
  const Workspace at(s, workspace);
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    if (!is_empty(s)) {
      take_moments(stream, s, static_cast<const T*>(x), at);
      channel_sums(stream, gradient_of<T>(s, d, x, nullptr, at), s, at.partial);
    }
    launch(stream, dim3{blocks_of(s.c), 1, 1}, dim3{kThreads, 1, 1}, affine_kernel<T>, at.partial, static_cast<T*>(out),
           static_cast<int>(s.c), static_cast<int>(is_empty(s) ? 0 : s.n * parts_of(s)));
  });
}

}  // namespace espalier::cuda::kernels
