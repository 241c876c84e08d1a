// ASHA is promotion-based: a trial waits at a rung with its checkpoint until it is among the best of those that reached the rung.
// Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020 (arXiv 1810.05934), algorithm 2. It has
// trials without end; here their number is known, so a rung that nobody will join any more always sends its best one on.
// The median rule is Vizier's (Golovin et al., KDD 2017, section 3.2.2), on the objective at the same step.

#include "core/sweep/choose.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace espalier::sweep {
namespace {

/// The objective at a rung: of the first validation at or after its steps.
std::optional<double> value_at(const TrialState& trial, int64_t steps) {
  for (const auto& [step, value] : trial.curve)
    if (step >= steps) return value;
  return std::nullopt;
}

/// Of how many rungs the trial has a value.
size_t rungs_reached(const TrialState& trial, const std::vector<int64_t>& of) {
  size_t count = 0;
  while (count < of.size() && value_at(trial, of[count])) ++count;
  return count;
}

/// How many rungs it has left behind: it was validated again after the validation that counts there. One that was sent on stays
/// sent on, whoever comes after it.
size_t rungs_left(const TrialState& trial, const std::vector<int64_t>& of) {
  if (trial.curve.empty()) return 0;
  if (trial.curve.back().first >= trial.planned_steps) return of.size();  // it has made every step
  size_t count = 0;
  for (const int64_t steps : of) {
    const auto counts = std::find_if(trial.curve.begin(), trial.curve.end(), [&](const auto& at) { return at.first >= steps; });
    if (counts == trial.curve.end() || counts->first == trial.curve.back().first) break;
    ++count;
  }
  return count;
}

struct AtRung {
  size_t trial;
  double value;
};

/// The best 1 of `reduction` of those at a rung; with them those whose values are equal to the last one's.
size_t count_sent_on(const std::vector<AtRung>& best_first, const StopRule& stop) {
  auto count = static_cast<size_t>(static_cast<double>(best_first.size()) / stop.reduction);
  while (count > 0 && count < best_first.size() && best_first[count].value == best_first[count - 1].value) ++count;
  return count;
}

/// For each trial the number of rungs that it may leave behind.
std::vector<size_t> allowed_rungs(const std::vector<TrialState>& trials, const StopRule& stop, const Objective& objective) {
  std::vector<std::vector<int64_t>> rungs_of;
  std::vector<size_t> allowed;
  size_t most = 0;
  for (const TrialState& trial : trials) {
    rungs_of.push_back(rungs(stop, trial.planned_steps));
    allowed.push_back(rungs_left(trial, rungs_of.back()));
    most = std::max(most, rungs_of.back().size());
  }
  const auto before = [&](const AtRung& a, const AtRung& b) {
    if (std::isnan(a.value) || std::isnan(b.value)) return !std::isnan(a.value) && std::isnan(b.value);
    return a.value != b.value ? objective.better(a.value, b.value) : a.trial < b.trial;
  };
  bool closed = true;  // nobody will join rung k any more
  for (size_t k = 0; k < most; ++k) {
    std::vector<AtRung> here;
    bool anyone_beyond = false;
    for (size_t i = 0; i < trials.size(); ++i) {
      if (k >= rungs_of[i].size() || trials[i].failed) continue;
      const std::optional<double> value = value_at(trials[i], rungs_of[i][k]);
      if (!trials[i].settled && allowed[i] >= k && !value) closed = false;  // on its way to it, or may set out
      if (value) here.push_back({i, *value});
      anyone_beyond = anyone_beyond || allowed[i] > k;
    }
    std::stable_sort(here.begin(), here.end(), before);
    size_t count = count_sent_on(here, stop);
    if (closed && count == 0 && !anyone_beyond && !here.empty()) count = 1;
    for (size_t rank = 0; rank < count; ++rank)
      if (size_t& of_it = allowed[here[rank].trial]; of_it == k) of_it = k + 1;
  }
  return allowed;
}

double mean_until(const Curve& curve, int64_t step) {
  double sum = 0;
  int64_t count = 0;
  for (const auto& [at, value] : curve)
    if (at <= step) sum += value, ++count;
  return count > 0 ? sum / static_cast<double>(count) : std::nan("");
}

int64_t median_reach(size_t index, const std::vector<TrialState>& trials, const StopRule& stop, const Objective& objective,
                     std::string* why) {
  const Curve& curve = trials[index].curve;
  if (curve.empty()) return kToTheEnd;
  const int64_t step = curve.back().first;
  if (step < stop.min_steps || step >= trials[index].planned_steps) return kToTheEnd;
  double best = curve[0].second;
  for (const auto& [at, value] : curve)
    if (objective.better(value, best)) best = value;
  std::vector<double> others;
  for (size_t i = 0; i < trials.size(); ++i)
    if (i != index && !trials[i].curve.empty() && trials[i].curve.back().first >= step)
      others.push_back(mean_until(trials[i].curve, step));
  if (static_cast<int64_t>(others.size()) < stop.min_trials) return kToTheEnd;
  std::sort(others.begin(), others.end());
  const double median = (others[(others.size() - 1) / 2] + others[others.size() / 2]) / 2;
  if (!objective.better(median, best)) return kToTheEnd;
  if (why != nullptr)
    *why = fmt::format("{} was at best {:.6g} by step {}, and the median of {} others {:.6g}", objective.metric, best, step,
                       others.size(), median);
  return step;
}

}  // namespace

std::vector<int64_t> rungs(const StopRule& stop, int64_t planned) {
  std::vector<int64_t> steps;
  if (stop.use == "asha")
    for (double at = static_cast<double>(stop.min_steps); at < static_cast<double>(planned); at *= stop.reduction)
      steps.push_back(static_cast<int64_t>(std::llround(at)));
  return steps;
}

int64_t may_reach(size_t index, const std::vector<TrialState>& trials, const StopRule& stop, const Objective& objective,
                  std::string* why) {
  if (stop.use == "median") return median_reach(index, trials, stop, objective, why);
  if (stop.use != "asha") return kToTheEnd;
  const std::vector<int64_t> all = rungs(stop, trials[index].planned_steps);
  const size_t allowed = allowed_rungs(trials, stop, objective)[index];
  if (allowed >= all.size()) return kToTheEnd;
  if (const std::optional<double> value = value_at(trials[index], all[allowed]); value && why != nullptr)
    *why = fmt::format("not among the best 1 of {} at rung {} (step {}): {} {:.6g}", stop.reduction, allowed, all[allowed],
                       objective.metric, *value);
  return all[allowed];
}

std::vector<size_t> candidates(const std::vector<TrialState>& trials, const StopRule& stop, const Objective& objective) {
  std::vector<size_t> allowed(trials.size(), 0);
  const bool asha = stop.use == "asha";
  if (asha) allowed = allowed_rungs(trials, stop, objective);
  std::vector<std::pair<size_t, size_t>> found;  // rungs behind it, index
  for (size_t i = 0; i < trials.size(); ++i) {
    if (trials[i].settled || trials[i].claimed) continue;
    const std::vector<int64_t> all = rungs(stop, trials[i].planned_steps);
    const size_t reached = rungs_reached(trials[i], all);
    if (asha && reached > allowed[i]) continue;  // waits at its rung
    found.emplace_back(reached, i);
  }
  std::stable_sort(found.begin(), found.end(), [&](const auto& a, const auto& b) {
    if (a.first != b.first) return a.first > b.first;
    return trials[a.second].begun && !trials[b.second].begun;
  });
  std::vector<size_t> indices;
  for (const auto& [reached, i] : found) indices.push_back(i);
  return indices;
}

}  // namespace espalier::sweep
