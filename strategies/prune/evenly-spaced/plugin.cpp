#include "strategies/prune/common/depth_pruner.h"

namespace {

struct EvenlySpaced : strategies::DepthPruner<EvenlySpaced> {
  static constexpr std::string_view id = "espalier.prune.evenly-spaced";
  static constexpr std::string_view doc =
      "Keeps every (n/k)-th transformer block of each attention module of n, the first included.";
  static auto params() { return depth_params(); }
  static strategies::Kept choose(const esp::prune_view&, std::string_view, int64_t n, int64_t k) {
    return strategies::evenly_spaced(n, k);
  }
};

}  // namespace

ESP_PLUGIN("espalier.prune.evenly-spaced", "0.1.0", "espalier", "none declared", EvenlySpaced)
