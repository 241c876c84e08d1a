#include "strategies/prune/common/knapsack.h"

#include <algorithm>
#include <map>
#include <optional>

#include "strategies/prune/common/candidates.h"

namespace {

/// Each unit has a price, the output error of its absence, and a cost; what stays is the dearest that fits the budget. Of the two
/// ways to treat the mid block the one that loses less is taken.
struct Knapsack : esp::prune<Knapsack> {
  static constexpr std::string_view id = "espalier.prune.knapsack";
  static constexpr std::string_view doc =
      "Keeps the units of most output error that fit a budget of parameters, FLOPs or measured time.";
  double keep = 0.6;
  std::string budget = "parameters";
  bool mid = true;
  static auto params() {
    return std::tuple{
        esp::param{&Knapsack::keep, "keep", 0.01, 1.0, "share of the budget's quantity that stays, at most"},
        esp::choice{&Knapsack::budget, "budget", {"parameters", "flops", "latency"}, "what is limited; latency is measured here"},
        esp::param{&Knapsack::mid, "mid", "the mid block's attention and second resnet may go too, as one unit"}};
  }

  /// Of each unit, and of the whole model.
  std::vector<double> costs(const esp::prune_view& model, const esp::unit_set& units, double& whole) const {
    if (budget == "latency") return model.calibration().latency(units, &whole);
    const bool flops = budget == "flops";
    std::vector<double> out;
    for (const esp::unit& u : units) out.push_back(flops ? u.flops() : static_cast<double>(u.parameters()));
    whole = flops ? model.flops() : static_cast<double>(model.parameters());
    return out;
  }

  struct Removal {
    std::vector<bool> gone;
    double lost = 0;
  };

  void plan(const esp::prune_view& model, esp::prune_plan& out) {
    const esp::unit_set units = strategies::candidates(model);
    double whole = 0;
    const std::vector<double> cost = costs(model, units, whole);
    std::vector<esp::unit_set> sets;
    for (const esp::unit& u : units) sets.push_back({u});
    std::vector<double> price;
    for (const esp_score& score : model.calibration().evaluate(sets)) price.push_back(score.output);
    strategies::keep_scores(model, units, price);
    std::optional<Removal> best;
    for (const strategies::MidChoice& choice : strategies::mid_choices(model, units, mid)) {
      const std::optional<Removal> removal = fit(units, price, cost, choice, keep * whole - whole);
      if (removal && (!best || removal->lost < best->lost)) best = removal;
    }
    if (!best) throw esp::invalid("the budget is too small: what cannot go, and one block of each attention module, exceed it");
    strategies::write_rows(out, units, best->gone, price, "price");
  }

  /// `room`: of the budget, when every unit stays; less than nothing.
  static std::optional<Removal> fit(const esp::unit_set& units, const std::vector<double>& price, const std::vector<double>& cost,
                                    const strategies::MidChoice& choice, double room) {
    Removal removal{std::vector<bool>(units.size(), false)};
    for (size_t i = 0; i < units.size(); ++i)
      if (choice.tail == &units[i]) removal.gone[i] = true, removal.lost = price[i], room += cost[i];
    std::map<std::string_view, size_t> dearest;  // of each module: stays whatever it costs
    for (const size_t i : choice.free) {
      const auto at = dearest.emplace(units[i].module(), i).first;
      if (price[i] > price[at->second]) at->second = i;
    }
    std::vector<size_t> items;
    std::vector<double> prices, weights;
    for (const size_t i : choice.free)
      if (dearest[units[i].module()] != i)
        items.push_back(i), prices.push_back(price[i]), weights.push_back(cost[i]), room += cost[i];
    if (room < 0) return std::nullopt;
    const std::vector<bool> stays = strategies::fill_room(prices, weights, room);
    for (size_t n = 0; n < items.size(); ++n)
      if (!stays[n]) removal.gone[items[n]] = true, removal.lost += prices[n];
    return removal;
  }
};

}  // namespace

ESP_PLUGIN("espalier.prune.knapsack", "0.1.0", "espalier", "none declared", Knapsack)
