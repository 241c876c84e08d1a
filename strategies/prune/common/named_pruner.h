#pragma once
// The pruners that make one published structure.

#include "strategies/prune/common/make_rows.h"
#include "strategies/prune/common/patterns.h"

namespace strategies {

/// Base of a pruner without parameters. Self has `doc`, `Kept choose(n, k)` and, where something is not certain, `note`.
template <typename Self, const Pattern& kPattern>
struct NamedPruner : esp::prune<Self> {
  static constexpr std::string_view id = kPattern.id;

  void plan(const esp::prune_view& model, esp::prune_plan& out) {
    const Self& self = static_cast<const Self&>(*this);
    follow(model, out, kPattern, [&](std::string_view, int64_t n, int64_t k) { return self.choose(n, k); });
    if constexpr (requires { Self::note; }) out.note(Self::note);
  }
};

}  // namespace strategies
