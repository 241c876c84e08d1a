#include "core/base/rng.h"

#include <cmath>

namespace espalier::rng {
namespace {

// Multipliers and Weyl increments are Philox4x32's published constants.
constexpr uint64_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
constexpr uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;
constexpr double kTwoPi = 6.283185307179586476925286766559;

uint32_t low(uint64_t v) { return static_cast<uint32_t>(v); }
uint32_t high(uint64_t v) { return static_cast<uint32_t>(v >> 32); }

std::array<uint32_t, 4> block(uint64_t seed, uint64_t stream, uint64_t counter) {
  return philox4x32({low(counter), high(counter), low(stream), high(stream)}, {low(seed), high(seed)});
}

double unit(uint32_t lo, uint32_t hi) { return static_cast<double>(((uint64_t{hi} << 32) | lo) >> 11) * 0x1p-53; }

}  // namespace

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = kMultiplier0 * counter[0], b = kMultiplier1 * counter[2];
    counter = {high(b) ^ counter[1] ^ key[0], low(b), high(a) ^ counter[3] ^ key[1], low(a)};
    key = {key[0] + kWeyl0, key[1] + kWeyl1};
  }
  return counter;
}

uint64_t bits(uint64_t seed, uint64_t stream, uint64_t counter) {
  const auto words = block(seed, stream, counter);
  return (uint64_t{words[1]} << 32) | words[0];
}

double uniform(uint64_t seed, uint64_t stream, uint64_t counter) {
  const auto words = block(seed, stream, counter);
  return unit(words[0], words[1]);
}

double normal(uint64_t seed, uint64_t stream, uint64_t counter) {
  const auto words = block(seed, stream, counter);
  const double radius = 1.0 - unit(words[0], words[1]);  // in (0,1]: its logarithm is finite
  return std::sqrt(-2.0 * std::log(radius)) * std::cos(kTwoPi * unit(words[2], words[3]));
}

uint64_t stream_of(std::string_view name) {
  uint64_t hash = 14695981039346656037ull;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash;
}

}  // namespace espalier::rng
