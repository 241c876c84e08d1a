#include "strategies/prune/common/named_pruner.h"

namespace {

/// Nobody has published which blocks Vega kept, so the origin is a setting.
struct Vega : strategies::NamedPruner<Vega, strategies::kVega> {
  static constexpr std::string_view doc =
      "Segmind-Vega from an SDXL: 55 transformer blocks, the mid block's attention and second resnet go.";
  static constexpr std::string_view note = "origin of the kept blocks is a choice: what Vega kept is not known";
  std::string origin = "first-k";
  static auto params() {
    return std::tuple{esp::choice{&Vega::origin,
                                  "origin",
                                  {"first-k", "evenly-spaced", "from-ssd-1b"},
                                  "which blocks stay; from-ssd-1b: the first of those that SSD-1B kept"}};
  }
  /// SSD-1B kept 0, 1, 2, 6 of 10 and 0 of 2: the first one or two of those are the first one or two of all.
  strategies::Kept choose(int64_t n, int64_t k) const {
    return origin == "evenly-spaced" ? strategies::evenly_spaced(n, k) : strategies::first_k(n, k);
  }
};

}  // namespace

ESP_PLUGIN("espalier.prune.vega", "0.1.0", "espalier", "none declared", Vega)
