#include "core/lower/arena.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace espalier::lower {
namespace {

uint64_t round_up(uint64_t bytes, uint64_t alignment) { return (bytes + alignment - 1) / alignment * alignment; }

struct Block {
  uint64_t begin, end;
};

// The lowest offset of the tightest gap between `busy` (sorted by begin) that holds `bytes`; after the last block when
// no gap does.
uint64_t tightest_gap(const std::vector<Block>& busy, uint64_t bytes) {
  uint64_t best = 0, best_size = std::numeric_limits<uint64_t>::max(), end = 0;
  bool found = false;
  for (const Block& block : busy) {
    if (block.begin > end) {
      const uint64_t gap = block.begin - end;
      if (gap >= bytes && gap < best_size) best = end, best_size = gap, found = true;
    }
    end = std::max(end, block.end);
  }
  return found ? best : end;
}

}  // namespace

Arena plan_arena(std::span<const Lifetime> lifetimes, uint64_t alignment) {
  Arena arena;
  arena.offsets.resize(lifetimes.size());
  std::vector<size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return lifetimes[a].bytes != lifetimes[b].bytes ? lifetimes[a].bytes > lifetimes[b].bytes
                                                    : lifetimes[a].first < lifetimes[b].first;
  });
  std::vector<size_t> placed;  // by offset
  std::vector<Block> busy;
  for (size_t i : order) {
    const Lifetime& life = lifetimes[i];
    const uint64_t bytes = round_up(life.bytes, alignment);
    if (bytes == 0) continue;
    busy.clear();
    for (size_t j : placed)
      if (lifetimes[j].first <= life.last && life.first <= lifetimes[j].last)
        busy.push_back({arena.offsets[j], arena.offsets[j] + round_up(lifetimes[j].bytes, alignment)});
    const uint64_t at = tightest_gap(busy, bytes);
    arena.offsets[i] = at;
    arena.bytes = std::max(arena.bytes, at + bytes);
    const auto after = [&](uint64_t offset, size_t j) { return offset < arena.offsets[j]; };
    placed.insert(std::upper_bound(placed.begin(), placed.end(), at, after), i);
  }
  return arena;
}

std::vector<uint64_t> live_bytes(std::span<const Lifetime> lifetimes, size_t calls, uint64_t alignment) {
  std::vector<int64_t> change(calls + 1, 0);
  for (const Lifetime& life : lifetimes) {
    const auto bytes = static_cast<int64_t>(round_up(life.bytes, alignment));
    change[life.first] += bytes;
    change[life.last + 1] -= bytes;
  }
  std::vector<uint64_t> live(calls, 0);
  int64_t now = 0;
  for (size_t i = 0; i < calls; ++i) live[i] = static_cast<uint64_t>(now += change[i]);
  return live;
}

}  // namespace espalier::lower
