#pragma once
// Counter-based random numbers: every number is a pure function of (seed, stream, counter), so nothing needs a state
// to be saved and any number can be drawn in any order on any thread. The host offers them as "esp.host.rng/1".

#include <array>
#include <cstdint>
#include <string_view>

namespace espalier::rng {

/// Ten rounds of Philox4x32.
/// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// 64 random bits: the first two words of the block with key = seed and counter words (counter, stream).
uint64_t bits(uint64_t seed, uint64_t stream, uint64_t counter);
/// In [0,1): the upper 53 of `bits`.
double uniform(uint64_t seed, uint64_t stream, uint64_t counter);
/// Standard normal by Box-Muller from one block; as exact as the C library's log and cos.
double normal(uint64_t seed, uint64_t stream, uint64_t counter);

/// The stream of a named thing (FNV-1a): its numbers do not depend on what else is drawn.
uint64_t stream_of(std::string_view name);

}  // namespace espalier::rng
