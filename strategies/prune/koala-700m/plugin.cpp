#include "strategies/prune/common/named_pruner.h"

namespace {

struct Koala700m : strategies::NamedPruner<Koala700m, strategies::kKoala700m> {
  static constexpr std::string_view doc =
      "KOALA-700M from an SDXL: one layer per down stage, two per up stage, depth 5, no mid block.";
  static constexpr std::string_view note = "origin of the kept blocks is inferred: the first k of each attention module";
  static strategies::Kept choose(int64_t n, int64_t k) { return strategies::first_k(n, k); }
};

}  // namespace

ESP_PLUGIN("espalier.prune.koala-700m", "0.1.0", "espalier", "none declared", Koala700m)
