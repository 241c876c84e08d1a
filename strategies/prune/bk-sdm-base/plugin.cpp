#include "strategies/prune/common/named_pruner.h"

namespace {

struct BkSdmBase : strategies::NamedPruner<BkSdmBase, strategies::kBkSdmBase> {
  static constexpr std::string_view doc =
      "BK-SDM-Base from an SD 1.x or 2.x: the second layer of each down and the middle one of each up stage go.";

  static strategies::Kept choose(int64_t n, int64_t k) { return strategies::first_k(n, k); }
};

}  // namespace

ESP_PLUGIN("espalier.prune.bk-sdm-base", "0.1.0", "espalier", "none declared", BkSdmBase)
