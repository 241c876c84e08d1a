#include "strategies/prune/common/named_pruner.h"

namespace {

struct BkSdmSmall : strategies::NamedPruner<BkSdmSmall, strategies::kBkSdmSmall> {
  static constexpr std::string_view doc = "BK-SDM-Small from an SD 1.x or 2.x: BK-SDM-Base without the mid block.";

  static strategies::Kept choose(int64_t n, int64_t k) { return strategies::first_k(n, k); }
};

}  // namespace

ESP_PLUGIN("espalier.prune.bk-sdm-small", "0.1.0", "espalier", "none declared", BkSdmSmall)
