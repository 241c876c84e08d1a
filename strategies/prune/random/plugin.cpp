#include "strategies/prune/common/depth_pruner.h"

namespace {

/// The same seed chooses the same blocks on every machine: draws are keyed by seed, module and block.
struct Random : strategies::DepthPruner<Random> {
  static constexpr std::string_view id = "espalier.prune.random";
  static constexpr std::string_view doc = "Keeps k transformer blocks of each attention module, drawn at random.";
  int64_t seed = 0;
  static auto params() {
    return std::tuple_cat(depth_params(), std::tuple{esp::param{&Random::seed, "seed", 0, int64_t{1} << 53,
                                                                "of the draw; each module draws by itself"}});
  }

  static strategies::Kept choose(const esp::prune_view& model, std::string_view path, int64_t n, int64_t k, int64_t seed) {
    const auto* rng = esp::service<esp_rng>(ESP_RNG_SERVICE);
    if (rng == nullptr) throw esp::unsupported("this host has no " ESP_RNG_SERVICE);
    uint64_t module = 0;  // its number among the attention modules
    for (const esp::unit& u : model.units()) {
      if (u.kind() == ESP_UNIT_ATTENTION && u.path() == path) break;
      if (u.kind() == ESP_UNIT_ATTENTION) ++module;
    }
    std::set<std::pair<uint64_t, int64_t>> ranked;
    for (int64_t i = 0; i < n; ++i) ranked.emplace(rng->bits(static_cast<uint64_t>(seed), module, static_cast<uint64_t>(i)), i);
    strategies::Kept kept;
    for (const auto& [draw, index] : ranked)
      if (static_cast<int64_t>(kept.size()) < k) kept.insert(index);
    return kept;
  }
  strategies::Kept choose(const esp::prune_view& model, std::string_view path, int64_t n, int64_t k) const {
    return choose(model, path, n, k, seed);
  }
};

}  // namespace

ESP_PLUGIN("espalier.prune.random", "0.1.0", "espalier", "none declared", Random)
