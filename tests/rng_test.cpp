#include "core/base/rng.h"

#include <gtest/gtest.h>

#include <cmath>

namespace espalier {
namespace {

using Words = std::array<uint32_t, 4>;

// Known answers of Philox4x32-10 published with Random123 (kat_vectors).
TEST(Rng, philox_gives_the_published_answers) {
  EXPECT_EQ(rng::philox4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(rng::philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(rng::philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, words_of_seed_stream_and_counter_are_low_first) {
  EXPECT_EQ(rng::bits(0, 0, 0), 0xe169c58d6627e8d5u);
  EXPECT_EQ(rng::bits(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88), 0x94fdccebd16cfe09u);
  EXPECT_EQ(rng::uniform(0, 0, 0), std::ldexp(static_cast<double>(0xe169c58d6627e8d5u >> 11), -53));
}

TEST(Rng, uniform_and_normal_have_their_moments) {
  constexpr int kCount = 200000;
  double sum = 0, squares = 0, normal_sum = 0, normal_squares = 0, normal_fourth = 0;
  for (int i = 0; i < kCount; ++i) {
    const double u = rng::uniform(7, 3, static_cast<uint64_t>(i)), n = rng::normal(7, 3, static_cast<uint64_t>(i));
    ASSERT_TRUE(u >= 0 && u < 1 && std::isfinite(n));
    sum += u;
    squares += u * u;
    normal_sum += n;
    normal_squares += n * n;
    normal_fourth += n * n * n * n;
  }
  // Bounds are five standard errors of each mean.
  EXPECT_NEAR(sum / kCount, 0.5, 5 * 0.2887 / std::sqrt(kCount));
  EXPECT_NEAR(squares / kCount, 1.0 / 3, 5 * 0.2981 / std::sqrt(kCount));
  EXPECT_NEAR(normal_sum / kCount, 0, 5 / std::sqrt(kCount));
  EXPECT_NEAR(normal_squares / kCount, 1, 5 * std::sqrt(2.0) / std::sqrt(kCount));
  EXPECT_NEAR(normal_fourth / kCount, 3, 5 * std::sqrt(96.0) / std::sqrt(kCount));
}

TEST(Rng, seeds_streams_and_counters_are_independent) {
  double across_streams = 0, across_seeds = 0, neighbours = 0;
  constexpr int kCount = 100000;
  for (uint64_t i = 0; i < kCount; ++i) {
    const double n = rng::normal(1, 0, i);
    across_streams += n * rng::normal(1, 1, i);
    across_seeds += n * rng::normal(2, 0, i);
    neighbours += n * rng::normal(1, 0, i + 1);
  }
  for (double correlation : {across_streams, across_seeds, neighbours})
    EXPECT_NEAR(correlation / kCount, 0, 5 / std::sqrt(kCount));
}

}  // namespace
}  // namespace espalier
