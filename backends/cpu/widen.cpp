// Conversions are plain loops over bits, which vectorise, except f16, which has an instruction.

#include "backends/cpu/widen.h"

#include <cstring>

#include <espalier/sdk/backend.hpp>

#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace espalier::cpu {
namespace {

float from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
uint32_t to_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

template <typename T>
T read(const char* from, int64_t i) {
  T value;
  std::memcpy(&value, from + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

template <typename T>
void widen_as(const char* from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(read<T>(from, i));
}

void widen_half(const char* from, int64_t count, float* to) {
  int64_t i = 0;
#if defined(__F16C__)
  for (; i + 8 <= count; i += 8)
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 2 * i))));
#endif
  for (; i < count; ++i) to[i] = half_to_float(read<uint16_t>(from, i));
}

void narrow_half(const float* from, int64_t count, void* to) {
  auto* at = static_cast<char*>(to);
  int64_t i = 0;
#if defined(__F16C__)
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(at + 2 * i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
#endif
  for (; i < count; ++i) {
    const uint16_t bits = float_to_half(from[i]);
    std::memcpy(at + 2 * i, &bits, 2);
  }
}

template <typename T>
void narrow_as(const float* from, int64_t count, void* to) {
  for (int64_t i = 0; i < count; ++i) {
    const T value = static_cast<T>(from[i]);
    std::memcpy(static_cast<char*>(to) + i * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
  }
}

}  // namespace

float half_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t rest = bits & 0x7fffu;
  if (rest >= 0x7c00u) return from_bits(sign | 0x7f800000u | ((rest & 0x3ffu) << 13));
  // Shifting exponent and mantissa together and scaling by 2^112 is right for normal and subnormal numbers alike.
  return from_bits(sign | to_bits(from_bits(rest << 13) * 5.192296858534828e33f));
}

uint16_t float_to_half(float value) {
  const uint32_t bits = to_bits(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | ((size >> 13) & 0x3ffu));
  if (size >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // rounds to infinity
  if (size < 0x38800000u) {                                               // subnormal: let the adder round at 2^-24
    const float shifted = from_bits(size) + 0.5f;
    return static_cast<uint16_t>(sign | (to_bits(shifted) - 0x3f000000u));
  }
  return static_cast<uint16_t>(sign | ((size + 0xfffu + ((size >> 13) & 1u) - 0x38000000u) >> 13));
}

uint16_t float_to_bfloat(float value) {
  const uint32_t bits = to_bits(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

void widen(const void* from, int32_t dtype, int64_t first, int64_t count, float* to) {
  const char* at = static_cast<const char*>(from) + first * esp::dtype_bytes(dtype);
  switch (dtype) {
    case ESP_F32:
      std::memcpy(to, at, static_cast<size_t>(count) * 4);
      break;
    case ESP_F16:
      widen_half(at, count, to);
      break;
    case ESP_BF16:
      for (int64_t i = 0; i < count; ++i) to[i] = from_bits(static_cast<uint32_t>(read<uint16_t>(at, i)) << 16);
      break;
    case ESP_F64:
      widen_as<double>(at, count, to);
      break;
    case ESP_I32:
      widen_as<int32_t>(at, count, to);
      break;
    case ESP_I64:
      widen_as<int64_t>(at, count, to);
      break;
    default:
      widen_as<uint8_t>(at, count, to);
      break;
  }
}

void narrow(const float* from, int64_t count, int32_t dtype, void* to) {
  switch (dtype) {
    case ESP_F32:
      std::memcpy(to, from, static_cast<size_t>(count) * 4);
      break;
    case ESP_F16:
      narrow_half(from, count, to);
      break;
    case ESP_BF16:
      for (int64_t i = 0; i < count; ++i) {
        const uint16_t bits = float_to_bfloat(from[i]);
        std::memcpy(static_cast<char*>(to) + 2 * i, &bits, 2);
      }
      break;
    case ESP_F64:
      narrow_as<double>(from, count, to);
      break;
    case ESP_I32:
      narrow_as<int32_t>(from, count, to);
      break;
    case ESP_I64:
      narrow_as<int64_t>(from, count, to);
      break;
    case ESP_BOOL:
      for (int64_t i = 0; i < count; ++i) static_cast<uint8_t*>(to)[i] = from[i] != 0.0f;
      break;
    default:
      narrow_as<uint8_t>(from, count, to);
      break;
  }
}

}  // namespace espalier::cpu
