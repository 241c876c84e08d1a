#include "strategies/prune/common/ranking.h"

namespace {

/// To first order the task loss changes by |d loss / d gate| when a gate at 1 is shut: one backward pass scores every unit
/// (Molchanov et al. 2019, arXiv:1906.10771, with gates on whole units).
struct Taylor : strategies::RankingPruner<Taylor> {
  static constexpr std::string_view id = "espalier.prune.taylor";
  static constexpr std::string_view doc = "Removes the units with the smallest gradient of the task loss in their gate, on data.";
  static constexpr const char* what = "|gate gradient|";

  static std::vector<double> score(const esp::prune_view& model, const esp::unit_set& units) {
    std::vector<double> magnitudes;
    model.calibration().gate_gradients(units, &magnitudes);
    return magnitudes;
  }
};

}  // namespace

ESP_PLUGIN("espalier.prune.taylor", "0.1.0", "espalier", "none declared", Taylor)
