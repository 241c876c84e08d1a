// Functions of one number, and silu's gradient. Each is a type of its own, so that the loop over a tensor has no switch in it.

#include "backends/cuda/kernels/unary.h"

#include "backends/cuda/kernels/map.h"
#include "backends/cuda/kernels/math.h"

namespace espalier::cuda::kernels {
namespace {

template <Unary kFunction>
struct Function {
  __device__ float operator()(float x) const {
    if constexpr (kFunction == Unary::kAbs) return fabsf(x);
    if constexpr (kFunction == Unary::kCos) return cosf(x);
    if constexpr (kFunction == Unary::kErf) return erff(x);
    if constexpr (kFunction == Unary::kExp) return expf(x);
    if constexpr (kFunction == Unary::kGelu) return gelu(x);
    if constexpr (kFunction == Unary::kLog) return logf(x);
    if constexpr (kFunction == Unary::kNeg) return -x;
    if constexpr (kFunction == Unary::kRsqrt) return 1.0f / sqrtf(x);
    if constexpr (kFunction == Unary::kSigmoid) return sigmoid(x);
    if constexpr (kFunction == Unary::kSign) return x > 0 ? 1.0f : x < 0 ? -1.0f : x;
    if constexpr (kFunction == Unary::kSilu) return silu(x);
    if constexpr (kFunction == Unary::kSin) return sinf(x);
    if constexpr (kFunction == Unary::kSqrt) return sqrtf(x);
    if constexpr (kFunction == Unary::kSquare) return x * x;
    if constexpr (kFunction == Unary::kTanh) return tanhf(x);
  }
};

struct SiluGrad {
  __device__ float operator()(float x, float d) const {
    const float s = sigmoid(x);
    return d * (s + x * s * (1 - s));
  }
};

}  // namespace

void unary(Stream stream, Unary function, int32_t dtype, const void* x, void* out, int64_t count) {
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    const auto go = [&](auto f) { map(stream, f, count, static_cast<T*>(out), static_cast<const T*>(x)); };
    switch (function) {
#define ESP_CASE(name) \
  case Unary::name:    \
    return go(Function<Unary::name>{});
      ESP_CASE(kAbs)
      ESP_CASE(kCos)
      ESP_CASE(kErf)
      ESP_CASE(kExp)
      ESP_CASE(kGelu)
      ESP_CASE(kLog)
      ESP_CASE(kNeg)
      ESP_CASE(kRsqrt)
      ESP_CASE(kSigmoid)
      ESP_CASE(kSign)
      ESP_CASE(kSilu)
      ESP_CASE(kSin)
      ESP_CASE(kSqrt)
      ESP_CASE(kSquare)
      ESP_CASE(kTanh)
#undef ESP_CASE
    }
  });
}

void silu_grad(Stream stream, int32_t dtype, const void* x, const void* d, void* out, int64_t count) {
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    map(stream, SiluGrad{}, count, static_cast<T*>(out), static_cast<const T*>(x), static_cast<const T*>(d));
  });
}

}  // namespace espalier::cuda::kernels
