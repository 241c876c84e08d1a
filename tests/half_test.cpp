#include "core/base/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

namespace espalier {
namespace {

// Nearest f16 by exhaustive definition: among the finite values, the nearest, ties to the even code, overflow at 65520.
uint16_t nearest_f16(float value) {
  if (std::isnan(value)) return 0x7e00;
  const auto sign = static_cast<uint16_t>(std::signbit(value) ? 0x8000 : 0);
  const double wanted = std::abs(static_cast<double>(value));
  if (wanted >= 65520.0) return sign | 0x7c00;
  uint16_t low = 0, high = 0x7bff;  // codes are in the order of their values
  while (low < high) {
    const auto middle = static_cast<uint16_t>((low + high + 1) / 2);
    if (static_cast<double>(f16_to_f32(middle)) <= wanted)
      low = middle;
    else
      high = static_cast<uint16_t>(middle - 1);
  }
  if (low == 0x7bff) return sign | low;
  const double below = wanted - f16_to_f32(low), above = f16_to_f32(static_cast<uint16_t>(low + 1)) - wanted;
  const bool up = above < below || (above == below && (low & 1));
  return static_cast<uint16_t>(sign | (low + (up ? 1 : 0)));
}

TEST(Half, every_f16_code_has_its_defined_value) {
  for (uint32_t code = 0; code < 0x10000; ++code) {
    const uint32_t exponent = code >> 10 & 31, mantissa = code & 1023;
    const double sign = code & 0x8000 ? -1.0 : 1.0;
    const float got = f16_to_f32(static_cast<uint16_t>(code));
    if (exponent == 31 && mantissa != 0) {
      EXPECT_TRUE(std::isnan(got)) << code;
    } else if (exponent == 31) {
      EXPECT_EQ(got, sign * INFINITY) << code;
    } else {
      const double value =
          exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, static_cast<int>(exponent) - 25);
      EXPECT_EQ(got, sign * value) << code;
    }
  }
}

TEST(Half, f16_rounds_to_nearest_even_around_every_code) {
  for (uint32_t code = 0; code < 0x7c00; ++code) {
    const float here = f16_to_f32(static_cast<uint16_t>(code));
    const float next = code == 0x7bff ? 65536.0F : f16_to_f32(static_cast<uint16_t>(code + 1));
    const float tie = (here + next) / 2;
    for (const float value : {here, tie, std::nextafter(tie, 0.0F), std::nextafter(tie, 1e9F)}) {
      EXPECT_EQ(f32_to_f16(value), nearest_f16(value)) << value;
      EXPECT_EQ(f32_to_f16(-value), nearest_f16(-value)) << -value;
    }
  }
}

TEST(Half, f16_and_bf16_keep_nan_infinity_and_signed_zero) {
  EXPECT_EQ(f32_to_f16(INFINITY), 0x7c00);
  EXPECT_EQ(f32_to_f16(-INFINITY), 0xfc00);
  EXPECT_EQ(f32_to_f16(-0.0F), 0x8000);
  EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(std::bit_cast<float>(0x7f800001U)))));
  EXPECT_EQ(f32_to_bf16(INFINITY), 0x7f80);
  EXPECT_EQ(f32_to_bf16(3.4e38F), 0x7f80);
  EXPECT_EQ(f32_to_bf16(-0.0F), 0x8000);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7f800001U)))));
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0xffffffffU)))));
}

TEST(Half, bf16_rounds_to_nearest_even) {
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808000U)), 0x3f80);  // tie, even below
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f818000U)), 0x3f82);  // tie, even above
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808001U)), 0x3f81);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f807fffU)), 0x3f80);
  for (uint32_t code = 0; code < 0x7f80; ++code) EXPECT_EQ(f32_to_bf16(bf16_to_f32(static_cast<uint16_t>(code))), code);
}

// Bit patterns of every kind, at odd addresses and lengths that are not multiples of a vector.
TEST(Half, bulk_conversions_give_the_bits_of_single_ones) {
  std::vector<uint32_t> bits;
  uint32_t state = 12345;
  for (int i = 0; i < 20'003; ++i) bits.push_back(state = state * 1664525U + 1013904223U);
  for (const uint32_t special : {0U, 0x80000000U, 0x7f800000U, 0xff800000U, 0x7f800001U, 0x7fc00000U, 0xffffffffU, 0x477fefffU,
                                 0x477ff000U, 0x33000000U, 0x33000001U, 0x387fc000U, 0x387fffffU, 0x38800000U})
    bits.push_back(special);
  const size_t count = bits.size();
  std::vector<float> values(count);
  std::memcpy(values.data(), bits.data(), count * 4);

  std::vector<char> halves(count * 2 + 1);
  char* odd = halves.data() + 1;
  const auto half_at = [&](size_t i) {
    uint16_t half = 0;
    std::memcpy(&half, odd + 2 * i, 2);
    return half;
  };
  std::vector<float> back(count);
  f32_to_f16(values.data(), odd, count);
  for (size_t i = 0; i < count; ++i) ASSERT_EQ(half_at(i), f32_to_f16(values[i])) << std::hex << bits[i];
  f16_to_f32(odd, back.data(), count);
  for (size_t i = 0; i < count; ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(back[i]), std::bit_cast<uint32_t>(f16_to_f32(half_at(i)))) << std::hex << bits[i];
  f32_to_bf16(values.data(), odd, count);
  for (size_t i = 0; i < count; ++i) ASSERT_EQ(half_at(i), f32_to_bf16(values[i])) << std::hex << bits[i];
  bf16_to_f32(odd, back.data(), count);
  for (size_t i = 0; i < count; ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(back[i]), std::bit_cast<uint32_t>(bf16_to_f32(half_at(i)))) << std::hex << bits[i];
}

}  // namespace
}  // namespace espalier
