#include "strategies/prune/common/ranking.h"

namespace {

/// A unit whose output points where its input does changes little: 1 - mean cos(x, f(x)) over pixels and tokens ("block
/// influence"; Men et al. 2024, arXiv:2403.03853).
struct Similarity : strategies::RankingPruner<Similarity> {
  static constexpr std::string_view id = "espalier.prune.similarity";
  static constexpr std::string_view doc =
      "Removes the units that turn their input least, by 1 - cosine of input and output on data.";
  static constexpr const char* what = "1 - cosine";

  static std::vector<double> score(const esp::prune_view& model, const esp::unit_set& units) {
    std::vector<double> scores;
    for (const esp_unit_statistics& s : model.calibration().statistics(units)) scores.push_back(1 - s.cosine);
    return scores;
  }
};

}  // namespace

ESP_PLUGIN("espalier.prune.similarity", "0.1.0", "espalier", "none declared", Similarity)
