#include "strategies/prune/common/named_pruner.h"

namespace {

struct BkSdmTiny : strategies::NamedPruner<BkSdmTiny, strategies::kBkSdmTiny> {
  static constexpr std::string_view doc = "BK-SDM-Tiny from an SD 1.x or 2.x: BK-SDM-Small without the innermost stage.";

  static strategies::Kept choose(int64_t n, int64_t k) { return strategies::first_k(n, k); }
};

}  // namespace

ESP_PLUGIN("espalier.prune.bk-sdm-tiny", "0.1.0", "espalier", "none declared", BkSdmTiny)
