#pragma once
// Element types of device memory, for host code and kernels alike.

#include <espalier/graph.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace espalier::cuda {

/// A stream of the device; the seam makes it. Work on one stream runs in the order in which it was given.
using Stream = void*;

struct F16 {
  static constexpr bool kIsBF16 = false;
  uint16_t bits;
};
struct BF16 {
  static constexpr bool kIsBF16 = true;
  uint16_t bits;
};

/// f(T{}) with the type that `dtype` (ESP_F32, ESP_F16, ESP_BF16) is stored as.
template <typename F>
void with_type(int32_t dtype, F&& f) {
  switch (dtype) {
    case ESP_F32:
      return f(float{});
    case ESP_F16:
      return f(F16{});
    case ESP_BF16:
      return f(BF16{});
    default:
      throw std::logic_error("a kernel was asked for an element type that it did not accept");
  }
}

// Conversions on the host, rounding to nearest even.
inline float float_of_bits(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
inline uint32_t bits_of_float(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline float bf16_to_float(uint16_t bits) { return float_of_bits(static_cast<uint32_t>(bits) << 16); }
inline uint16_t float_to_bf16(float x) {
  const uint32_t bits = bits_of_float(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;  // as the device writes NaN
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
inline float f16_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16, rest = bits & 0x7fffu;
  if (rest >= 0x7c00u) return float_of_bits(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  if (rest >= 0x400u) return float_of_bits(sign | ((rest << 13) + (112u << 23)));
  const float small = static_cast<float>(rest) * float_of_bits(103u << 23);  // 2^-24
  return sign ? -small : small;
}
inline uint16_t float_to_f16(float x) {
  const uint32_t bits = bits_of_float(x), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u) return 0x7fff;
  if (rest >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // rounds past 65504
  if (rest < 0x38800000u) {  // subnormal: adding 1/2 leaves the multiple of 2^-24 in the last bits, rounded to even
    const float shifted = float_of_bits(rest) + 0.5f;
    return static_cast<uint16_t>(sign | (bits_of_float(shifted) - 0x3f000000u));
  }
  return static_cast<uint16_t>(sign | ((rest + 0xfffu + ((rest >> 13) & 1u) - (112u << 23)) >> 13));
}

}  // namespace espalier::cuda
