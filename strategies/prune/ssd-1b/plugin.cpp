#include "strategies/prune/common/named_pruner.h"

namespace {

struct Ssd1b : strategies::NamedPruner<Ssd1b, strategies::kSsd1b> {
  static constexpr std::string_view doc =
      "SSD-1B from an SDXL: 36 transformer blocks, the mid block's attention and second resnet go.";
  static constexpr std::string_view note =
      "origin of the kept blocks is inferred: 0, 1, 2, 6 of 10 and 0 of 2; up_blocks.0.attentions.2 whole";
  static strategies::Kept choose(int64_t n, int64_t k) { return strategies::as_ssd_1b(n, k); }
};

}  // namespace

ESP_PLUGIN("espalier.prune.ssd-1b", "0.1.0", "espalier", "none declared", Ssd1b)
