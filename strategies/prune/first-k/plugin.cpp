#include "strategies/prune/common/depth_pruner.h"

namespace {

struct FirstK : strategies::DepthPruner<FirstK> {
  static constexpr std::string_view id = "espalier.prune.first-k";
  static constexpr std::string_view doc = "Keeps the first k transformer blocks of each attention module.";
  static auto params() { return depth_params(); }
  static strategies::Kept choose(const esp::prune_view&, std::string_view, int64_t n, int64_t k) {
    return strategies::first_k(n, k);
  }
};

}  // namespace

ESP_PLUGIN("espalier.prune.first-k", "0.1.0", "espalier", "none declared", FirstK)
