#pragma once
// The pruners that score units on data and remove the least important ones, down to a number of parameters.

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "strategies/prune/common/candidates.h"

namespace strategies {

/// Base of such a pruner. Self has `id`, `doc`, `what` (the score's name in reasons) and
/// `std::vector<double> score(const esp::prune_view&, const esp::unit_set&)`, least important lowest.
///
/// Each attention module keeps one block. Of the two ways to treat the mid block the one whose removed units have the smaller sum
/// of scores is taken. With `rounds` = n it goes the way in n steps of equal numbers of parameters, and scores what is left
/// before each: over n [[stage]]s one a stage, so that each looks at what training made of the last.
template <typename Self>
struct RankingPruner : esp::prune<Self> {
  double keep = 0.6;
  int64_t parameters = 0, rounds = 1;
  bool mid = true;
  int64_t start = 0;  // parameters before the first round: state

  static auto ranking_params() {
    return std::tuple{
        esp::param{&RankingPruner::keep, "keep", 0.01, 1.0, "share of the model's parameters that stays, at most"},
        esp::param{&RankingPruner::parameters, "parameters", 0, int64_t{1} << 50, "the same as a number; 0: see keep"},
        esp::param{&RankingPruner::rounds, "rounds", 1, 1000, "steps on the way, scored anew before each"},
        esp::param{&RankingPruner::mid, "mid", "the mid block's attention and second resnet may go too, as one unit"}};
  }
  static auto params() { return ranking_params(); }

  void plan(const esp::prune_view& model, esp::prune_plan& out) {
    const int64_t now = model.parameters();
    if (start == 0) start = now;
    const int64_t end = std::min(start, parameters > 0 ? parameters : static_cast<int64_t>(keep * static_cast<double>(start)));
    const int64_t round = std::min<int64_t>(model.stage() + 1, rounds);
    const auto way = static_cast<double>(start - end) * static_cast<double>(round) / static_cast<double>(rounds);
    const int64_t target = round == rounds ? end : start - static_cast<int64_t>(way);
    if (round < rounds) out.more();
    if (now <= target) return;
    const esp::unit_set units = candidates(model);
    const std::vector<double> scores = static_cast<Self*>(this)->score(model, units);
    keep_scores(model, units, scores);
    std::optional<Removal> best;
    for (const MidChoice& choice : mid_choices(model, units, mid)) {
      const std::optional<Removal> removal = least_important(units, scores, choice, now - target);
      if (removal && (!best || removal->lost < best->lost)) best = removal;
    }
    if (!best)
      throw esp::invalid("cannot come down to " + std::to_string(target) + " of " + std::to_string(now) +
                         " parameters: each attention module keeps one block");
    write_rows(out, units, best->gone, scores, Self::what);
  }

  std::string save() const { return std::to_string(start); }
  void load(std::string_view state) {
    if (state.empty() || state.size() > 18 || state.find_first_not_of("0123456789") != state.npos)
      throw esp::invalid("the saved state is not this pruner's");
    start = std::stoll(std::string(state));
  }

 private:
  struct Removal {
    std::vector<bool> gone;
    double lost = 0;  // sum of the scores of what goes
  };

  /// At least `wanted` parameters; none where the free units do not hold so many.
  static std::optional<Removal> least_important(const esp::unit_set& units, const std::vector<double>& scores,
                                                const MidChoice& choice, int64_t wanted) {
    Removal removal{std::vector<bool>(units.size(), false)};
    const auto remove = [&](size_t i) {
      removal.gone[i] = true;
      removal.lost += scores[i];
      wanted -= units[i].parameters();
    };
    for (size_t i = 0; i < units.size(); ++i)
      if (choice.tail == &units[i]) remove(i);
    std::vector<size_t> order = choice.free;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] < scores[b]; });
    std::map<std::string_view, int64_t> gone;  // by module
    for (const size_t i : order) {
      int64_t& of_module = gone[units[i].module()];
      if (wanted <= 0 || of_module + 1 >= units[i].siblings()) continue;
      ++of_module;
      remove(i);
    }
    return wanted <= 0 ? std::optional(removal) : std::nullopt;
  }
};

}  // namespace strategies
