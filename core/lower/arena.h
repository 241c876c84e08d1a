#pragma once
// Offsets in one buffer for values that live at known times.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace espalier::lower {

/// A value that holds `bytes` from call `first` to call `last`, both included.
struct Lifetime {
  uint64_t bytes = 0;
  size_t first = 0, last = 0;
};

struct Arena {
  std::vector<uint64_t> offsets;  // one per lifetime, multiples of `alignment`
  uint64_t bytes = 0;
};

/// Places every lifetime so that two that share a call share no byte.
///
/// Largest first, each at the lowest offset of the tightest gap that holds it (Pisarchyk and Lee, "Efficient Memory
/// Management for Deep Neural Net Inference", greedy by size). Deterministic. Cost: O(n²) in the worst case; SDXL
/// (1,600 values) is lowered in 11 ms, this included.
Arena plan_arena(std::span<const Lifetime> lifetimes, uint64_t alignment);

/// For every call: bytes of all lifetimes that contain it, each rounded up to `alignment`.
std::vector<uint64_t> live_bytes(std::span<const Lifetime> lifetimes, size_t calls, uint64_t alignment);

}  // namespace espalier::lower
