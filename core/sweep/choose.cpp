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

struct AtRung {
  size_t trial;
  double value;
};

/// Which trials may go on from rung k, of those in `trials`.
std::vector<size_t> promoted(size_t k, const std::vector<TrialState>& trials, const std::vector<std::vector<int64_t>>& rungs_of,
                             const StopRule& stop, const Objective& objective, bool closed) {
  std::vector<AtRung> here;
  for (size_t i = 0; i < trials.size(); ++i)
    if (k < rungs_of[i].size())
      if (const auto value = value_at(trials[i], rungs_of[i][k])) here.push_back({i, *value});
  const auto before = [&](const AtRung& a, const AtRung& b) {
    if (std::isnan(a.value) || std::isnan(b.value)) return !std::isnan(a.value) && std::isnan(b.value);
    return a.value != b.value ? objective.better(a.value, b.value) : a.trial < b.trial;
  };
  std::stable_sort(here.begin(), here.end(), before);
  auto count = static_cast<size_t>(static_cast<double>(here.size()) / stop.reduction);
  if (closed && count == 0 && !here.empty()) count = 1;
  here.resize(std::min(count, here.size()));
  std::vector<size_t> indices;
  for (const AtRung& each : here) indices.push_back(each.trial);
  return indices;
}

/// For each trial the number of rungs that it may leave behind.
std::vector<size_t> allowed_rungs(const std::vector<TrialState>& trials, const StopRule& stop, const Objective& objective) {
  std::vector<std::vector<int64_t>> rungs_of;
  size_t most = 0;
  for (const TrialState& trial : trials) {
    rungs_of.push_back(rungs(stop, trial.planned_steps));
    most = std::max(most, rungs_of.back().size());
  }
  std::vector<size_t> allowed(trials.size(), 0);
  bool closed = true;  // nobody will join rung k any more
  for (size_t k = 0; k < most; ++k) {
    for (size_t i = 0; i < trials.size(); ++i)
      if (!trials[i].settled && allowed[i] == k && k < rungs_of[i].size() && rungs_reached(trials[i], rungs_of[i]) <= k)
        closed = false;  // on its way to it, or allowed to set out
    for (const size_t i : promoted(k, trials, rungs_of, stop, objective, closed))
      if (allowed[i] == k) allowed[i] = k + 1;
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
  if (why != nullptr) {
    const auto value = value_at(trials[index], all[allowed]);
    *why = fmt::format("not among the best 1 of {} at rung {} (step {}): {} {:.6g}", stop.reduction, allowed, all[allowed],
                       objective.metric, value.value_or(std::nan("")));
  }
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
