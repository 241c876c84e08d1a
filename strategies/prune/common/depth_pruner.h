#pragma once
// The pruners that choose blocks by a rule: `keep = k` for every attention module, or `like = ID`, the depths of a
// published student.

#include <tuple>

#include "strategies/prune/common/make_rows.h"
#include "strategies/prune/common/patterns.h"

namespace strategies {

/// Base of such a pruner. Self has `id`, `doc` and `Kept choose(const esp::prune_view&, std::string_view path, int64_t n,
/// int64_t k)`.
template <typename Self>
struct DepthPruner : esp::prune<Self> {
  static constexpr std::string_view kNone = "none";
  int64_t keep = 0;
  std::string like = std::string(kNone);

  static auto depth_params() {
    std::vector<std::string_view> ids = {kNone};
    for (const Pattern* pattern : kDepthPatterns) ids.push_back(pattern->id);
    return std::tuple{
        esp::param{&DepthPruner::keep, "keep", 0, 1000, "transformer blocks that stay in each attention module; 0: see like"},
        esp::choice{&DepthPruner::like, "like", std::move(ids),
                    "the structure of this pruner's student; the rule chooses the blocks"}};
  }

  void plan(const esp::prune_view& model, esp::prune_plan& out) {
    Self& self = static_cast<Self&>(*this);
    const Choice choose = [&](std::string_view path, int64_t n, int64_t k) { return self.choose(model, path, n, k); };
    if ((keep > 0) == (like != kNone))
      throw esp::invalid(keep > 0 ? "keep and like exclude each other; give one"
                                  : "give keep = k or like = \"espalier.prune.ssd-1b\"");
    if constexpr (requires { self.prepare(model); }) self.prepare(model);
    if (keep > 0) {
      for (const auto& [path, depth] : layers_of(model)) thin(model, out, path, keep, choose);
      return;
    }
    for (const Pattern* pattern : kDepthPatterns)
      if (pattern->id == like) follow(model, out, *pattern, choose);
  }
};

}  // namespace strategies
