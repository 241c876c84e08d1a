#include "strategies/prune/common/ranking.h"

namespace {

/// What really happens when one unit goes: each is tried alone, on one executable whose gates are shut one after another.
struct OutputError : strategies::RankingPruner<OutputError> {
  static constexpr std::string_view id = "espalier.prune.output-error";
  static constexpr std::string_view doc = "Removes the units whose absence changes the loss least, each tried alone on data.";
  static constexpr const char* what = "loss rise";
  std::string by = "output";
  static auto params() {
    return std::tuple_cat(
        ranking_params(),
        std::tuple{esp::choice{
            &OutputError::by, "by", {"output", "task"}, "the error against the whole model's output, or the task loss"}});
  }

  std::vector<double> score(const esp::prune_view& model, const esp::unit_set& units) const {
    std::vector<esp::unit_set> sets{{}};  // the empty one: the model as it is
    for (const esp::unit& u : units) sets.push_back({u});
    const std::vector<esp_score> found = model.calibration().evaluate(sets);
    std::vector<double> scores;
    for (size_t i = 1; i < found.size(); ++i)
      scores.push_back(by == "task" ? found[i].task - found[0].task : found[i].output - found[0].output);
    return scores;
  }
};

}  // namespace

ESP_PLUGIN("espalier.prune.output-error", "0.1.0", "espalier", "none declared", OutputError)
