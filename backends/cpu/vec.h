#pragma once
// The native vector of floats as a GCC/clang vector extension, and the elementary functions over it.
//
// Functions are polynomial; errors are relative to the exact value: exp 2e-7, sigmoid, silu, erf 4e-7.

#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace espalier::cpu {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
#elif defined(__AVX__)
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;
#endif

using Vec = float __attribute__((vector_size(kLanes * 4)));
using VecInt = int32_t __attribute__((vector_size(kLanes * 4)));

inline Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }
/// x - 0 is x for every x, so that this is one broadcast; 0 + x is not, for -0.
inline Vec splat(float x) { return x - Vec{}; }
/// The first `count` floats; the other lanes are `rest`.
inline Vec load_part(const float* p, int64_t count, float rest = 0) {
  Vec v = splat(rest);
  std::memcpy(&v, p, static_cast<size_t>(count) * 4);
  return v;
}
inline void store_part(float* p, Vec v, int64_t count) { std::memcpy(p, &v, static_cast<size_t>(count) * 4); }

inline Vec choose(VecInt mask, Vec yes, Vec no) {
  return reinterpret_cast<Vec>((mask & reinterpret_cast<VecInt>(yes)) | (~mask & reinterpret_cast<VecInt>(no)));
}
inline Vec vmax(Vec a, Vec b) { return a > b ? a : b; }
inline Vec vmin(Vec a, Vec b) { return a < b ? a : b; }
inline Vec vabs(Vec x) { return reinterpret_cast<Vec>(reinterpret_cast<VecInt>(x) & 0x7fffffff); }

inline Vec vsqrt(Vec x) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vec>(_mm512_sqrt_ps(reinterpret_cast<__m512>(x)));
#elif defined(__AVX__)
  return reinterpret_cast<Vec>(_mm256_sqrt_ps(reinterpret_cast<__m256>(x)));
#else
  for (int i = 0; i < kLanes; ++i) x[i] = std::sqrt(x[i]);
  return x;
#endif
}

inline float reduce_add(Vec v) {
  float total = 0;
  for (int i = 0; i < kLanes; ++i) total += v[i];
  return total;
}
inline float reduce_max(Vec v) {
  float best = v[0];
  for (int i = 1; i < kLanes; ++i) best = v[i] > best ? v[i] : best;
  return best;
}

/// e^x. 2^n · p(r), |r| <= ln2/2, p of degree 7. NaN stays NaN; overflow gives inf.
inline Vec vexp(Vec x) {
  const Vec clipped = vmin(vmax(x, splat(-87.3f)), splat(88.72f));
  const Vec scaled = clipped * 1.44269504088896341f;
  const Vec magic = splat(12582912.0f);  // 1.5 · 2^23: adding it rounds to the nearest integer
  const Vec n = (scaled + magic) - magic;
  Vec r = clipped - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  Vec p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  // 2^n in two factors, so that n = 128 does not overflow before the product does.
  const VecInt whole = __builtin_convertvector(n, VecInt);
  const VecInt half = whole >> 1;
  const Vec a = reinterpret_cast<Vec>((half + 127) << 23);
  const Vec b = reinterpret_cast<Vec>((whole - half + 127) << 23);
  Vec y = p * a * b;
  y = x < splat(-103.0f) ? splat(0.0f) : y;
  y = x > splat(88.72f) ? splat(INFINITY) : y;
  return x != x ? x : y;
}

inline Vec vsigmoid(Vec x) { return splat(1.0f) / (splat(1.0f) + vexp(-x)); }
inline Vec vsilu(Vec x) { return x / (splat(1.0f) + vexp(-x)); }
/// d · silu'(x) = d · σ (1 + x (1 - σ)).
inline Vec vsilu_grad(Vec x, Vec d) {
  const Vec gate = vsigmoid(x);
  return d * gate * (splat(1.0f) + x * (splat(1.0f) - gate));
}
inline Vec vtanh(Vec x) {
  // Small arguments: the odd series keeps relative precision where 1 - 2/(e^2x + 1) cancels.
  const Vec x2 = x * x;
  Vec p = splat(-5.70498872745e-3f);
  p = p * x2 + 2.06390887954e-2f;
  p = p * x2 - 5.37397155531e-2f;
  p = p * x2 + 1.33314422036e-1f;
  p = p * x2 - 3.33332819422e-1f;
  const Vec small = p * x2 * x + x;
  const Vec size = vabs(x);
  const Vec large = splat(1.0f) - splat(2.0f) / (vexp(size + size) + splat(1.0f));
  const Vec signed_large = x < splat(0.0f) ? -large : large;
  return size < splat(0.625f) ? small : signed_large;
}

/// erf: x P(x²) / Q(x²) up to 3.9, where erf is 1 to the last digit; a least-squares fit, reweighted towards equal errors.
inline Vec verf(Vec x) {
  const Vec clipped = vmin(vmax(x, splat(-3.9f)), splat(3.9f));
  const Vec x2 = clipped * clipped;
  Vec p = splat(2.050511966e-6f);
  p = p * x2 + 2.874440979e-4f;
  p = p * x2 + 3.836248303e-3f;
  p = p * x2 + 5.296498537e-2f;
  p = p * x2 + 1.919261962e-1f;
  p = p * x2 + 1.128378987f;
  Vec q = splat(3.823135194e-5f);
  q = q * x2 + 1.181584084e-3f;
  q = q * x2 + 1.510794740e-2f;
  q = q * x2 + 1.147521064e-1f;
  q = q * x2 + 5.034219623e-1f;
  q = q * x2 + 1.0f;
  Vec y = clipped * p / q;
  y = x > splat(3.9f) ? splat(1.0f) : y;
  y = x < splat(-3.9f) ? splat(-1.0f) : y;
  return x != x ? x : y;
}

/// Exact GELU: x Φ(x) = x/2 (1 + erf(x/√2)).
inline Vec vgelu(Vec x) { return x * 0.5f * (splat(1.0f) + verf(x * 0.70710678118654752f)); }

}  // namespace espalier::cpu
