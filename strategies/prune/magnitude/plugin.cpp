#include <cmath>

#include "strategies/prune/common/depth_pruner.h"

namespace {

/// A block adds its output projections' results to the hidden state, so small projections change it little.
struct Magnitude : strategies::DepthPruner<Magnitude> {
  static constexpr std::string_view id = "espalier.prune.magnitude";
  static constexpr std::string_view doc =
      "Keeps the k transformer blocks of each attention module whose output projections have the largest mean norm.";
  static auto params() { return depth_params(); }

  static void prepare(const esp::prune_view& model) {
    if (!model.weights().available())
      throw esp::invalid(
          "ranks blocks by their weights and this model is a config alone; give a model folder or a checkpoint, or use "
          "espalier.prune.first-k, evenly-spaced or random");
  }

  /// Mean Frobenius norm of the weights of attn1.to_out.0, attn2.to_out.0 and ff.net.2.
  static double score(const esp::weights& weights, const std::string& block) {
    double sum = 0;
    int found = 0;
    std::vector<float> values;
    for (const esp::weights::tensor& t : weights.under(block)) {
      const std::string_view name = t.name;
      const bool projection = name.find(".to_out.0.weight") != name.npos || name.find(".ff.net.2.weight") != name.npos;
      if (!projection) continue;
      weights.read(t, values);
      double squares = 0;
      for (const float v : values) squares += static_cast<double>(v) * v;
      sum += std::sqrt(squares);
      ++found;
    }
    if (found == 0) throw esp::error(block + " has no output projections");
    return sum / found;
  }

  static strategies::Kept choose(const esp::prune_view& model, std::string_view path, int64_t n, int64_t k) {
    std::set<std::pair<double, int64_t>> ranked;  // largest norm first, then lowest index
    for (int64_t i = 0; i < n; ++i)
      ranked.emplace(-score(model.weights(), std::string(path) + ".transformer_blocks." + std::to_string(i)), i);
    strategies::Kept kept;
    for (const auto& [norm, index] : ranked)
      if (static_cast<int64_t>(kept.size()) < k) kept.insert(index);
    return kept;
  }
};

}  // namespace

ESP_PLUGIN("espalier.prune.magnitude", "0.1.0", "espalier", "none declared", Magnitude)
