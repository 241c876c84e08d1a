#include "core/base/half.h"

#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

// Two roads to the same bits: integer arithmetic that every compiler understands, and the processor's own conversions,
// chosen at run time. The hardware's NaN rule (keep the upper payload bits, set the quiet bit) is the rule of both.

namespace espalier {
namespace {

template <typename T>
T load(const void* base, size_t index) {
  T value;
  std::memcpy(&value, static_cast<const char*>(base) + index * sizeof(T), sizeof(T));
  return value;
}

template <typename T>
void store(void* base, size_t index, T value) {
  std::memcpy(static_cast<char*>(base) + index * sizeof(T), &value, sizeof(T));
}

#if defined(__x86_64__)

// Asked of the processor itself: not every compiler's __builtin_cpu_supports knows the name.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

struct Cpu {
  bool f16c = __builtin_cpu_supports("avx") && has_f16c();
  bool avx2 = __builtin_cpu_supports("avx2");
};

const Cpu& cpu() {
  static const Cpu found;
  return found;
}

__attribute__((target("avx,f16c"))) size_t f16_to_f32_f16c(const char* from, float* to, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 2 * i));
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(halves));
  }
  return i;
}

__attribute__((target("avx,f16c"))) size_t f32_to_f16_f16c(const float* from, char* to, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 2 * i), halves);
  }
  return i;
}

__attribute__((target("avx2"))) size_t bf16_to_f32_avx2(const char* from, float* to, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 2 * i));
    const __m256i wide = _mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), wide);
  }
  return i;
}

__attribute__((target("avx2"))) size_t f32_to_bf16_avx2(const float* from, char* to, size_t count) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff), infinity = _mm256_set1_epi32(0x7f800000);
  const __m256i bias = _mm256_set1_epi32(0x7fff), one = _mm256_set1_epi32(1), quiet = _mm256_set1_epi32(0x40);
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
    const __m256i high = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(high, one);
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(bias, odd)), 16);
    const __m256i is_nan = _mm256_cmpgt_epi32(_mm256_and_si256(bits, magnitude), infinity);
    const __m256i wide = _mm256_blendv_epi8(rounded, _mm256_or_si256(high, quiet), is_nan);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(wide, wide), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 2 * i), _mm256_castsi256_si128(packed));
  }
  return i;
}

#endif

}  // namespace

float f16_to_f32(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
  uint32_t exponent = (half >> 10) & 0x1fU, mantissa = half & 0x3ffU;
  if (exponent == 0x1f) {
    if (mantissa != 0) mantissa |= 0x200U;
    return std::bit_cast<float>(sign | 0x7f800000U | (mantissa << 13));
  }
  if (exponent == 0) {
    if (mantissa == 0) return std::bit_cast<float>(sign);
    const int shift = std::countl_zero(mantissa) - 21;  // brings the leading one to bit 10
    mantissa = (mantissa << shift) & 0x3ffU;
    return std::bit_cast<float>(sign | (static_cast<uint32_t>(113 - shift) << 23) | (mantissa << 13));
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7fffffffU;
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000U);
  if (magnitude > 0x7f800000U) return static_cast<uint16_t>(sign | 0x7e00U | ((magnitude >> 13) & 0x3ffU));
  if (magnitude >= 0x477ff000U) return static_cast<uint16_t>(sign | 0x7c00U);  // 65520 and up round to infinity
  if (magnitude >= 0x38800000U) {                                              // 2^-14: normal in f16
    const uint32_t odd = (magnitude >> 13) & 1U;
    return static_cast<uint16_t>(sign | ((magnitude - 0x38000000U + 0xfffU + odd) >> 13));
  }
  if (magnitude <= 0x33000000U) return sign;  // 2^-25 ties to even zero
  const uint32_t shift = 126U - (magnitude >> 23);
  const uint32_t mantissa = (magnitude & 0x7fffffU) | 0x800000U;
  const uint32_t half = mantissa >> shift, rest = mantissa & ((1U << shift) - 1U), tie = 1U << (shift - 1U);
  return static_cast<uint16_t>(sign | (half + (rest > tie || (rest == tie && (half & 1U)) ? 1U : 0U)));
}

float bf16_to_f32(uint16_t half) { return std::bit_cast<float>(static_cast<uint32_t>(half) << 16); }

uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<uint16_t>((bits >> 16) | 0x40U);
  return static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

void f16_to_f32(const void* from, float* to, size_t count) {
  size_t i = 0;
#if defined(__x86_64__)
  if (cpu().f16c) i = f16_to_f32_f16c(static_cast<const char*>(from), to, count);
#endif
  for (; i < count; ++i) to[i] = f16_to_f32(load<uint16_t>(from, i));
}

void f32_to_f16(const float* from, void* to, size_t count) {
  size_t i = 0;
#if defined(__x86_64__)
  if (cpu().f16c) i = f32_to_f16_f16c(from, static_cast<char*>(to), count);
#endif
  for (; i < count; ++i) store(to, i, f32_to_f16(load<float>(from, i)));
}

void bf16_to_f32(const void* from, float* to, size_t count) {
  size_t i = 0;
#if defined(__x86_64__)
  if (cpu().avx2) i = bf16_to_f32_avx2(static_cast<const char*>(from), to, count);
#endif
  for (; i < count; ++i) to[i] = bf16_to_f32(load<uint16_t>(from, i));
}

void f32_to_bf16(const float* from, void* to, size_t count) {
  size_t i = 0;
#if defined(__x86_64__)
  if (cpu().avx2) i = f32_to_bf16_avx2(from, static_cast<char*>(to), count);
#endif
  for (; i < count; ++i) store(to, i, f32_to_bf16(load<float>(from, i)));
}

}  // namespace espalier
