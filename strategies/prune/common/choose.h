#pragma once
// Which k of a module's n transformer blocks stay.

#include <cstdint>
#include <set>

namespace strategies {

using Kept = std::set<int64_t>;  // indices that stay

inline Kept first_k(int64_t, int64_t k) {
  Kept kept;
  for (int64_t i = 0; i < k; ++i) kept.insert(i);
  return kept;
}

/// ⌊i·n/k⌋ for i = 0 … k-1.
inline Kept evenly_spaced(int64_t n, int64_t k) {
  Kept kept;
  for (int64_t i = 0; i < k; ++i) kept.insert(i * n / k);
  return kept;
}

/// The blocks that SSD-1B seems to have kept, by cosine similarity of attention weights (README of furusu/SSD-1B-anime on
/// the Hugging Face hub): 0, 1, 2 and 6 of 10, 0 of 2; of a module that it left whole, the first k.
inline Kept as_ssd_1b(int64_t n, int64_t k) { return n == 10 && k == 4 ? Kept{0, 1, 2, 6} : first_k(n, k); }

}  // namespace strategies
