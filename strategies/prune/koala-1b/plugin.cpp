#include "strategies/prune/common/named_pruner.h"

namespace {

struct Koala1b : strategies::NamedPruner<Koala1b, strategies::kKoala1b> {
  static constexpr std::string_view doc = "KOALA-1B from an SDXL: one layer per down stage, two per up stage, depth 6.";
  static constexpr std::string_view note = "origin of the kept blocks is inferred: the first k of each attention module";
  static strategies::Kept choose(int64_t n, int64_t k) { return strategies::first_k(n, k); }
};

}  // namespace

ESP_PLUGIN("espalier.prune.koala-1b", "0.1.0", "espalier", "none declared", Koala1b)
