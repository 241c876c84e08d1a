#include "core/report/sweep_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "core/base/text.h"
#include "core/report/markup.h"

namespace espalier::report {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSeed = "train.seed";
constexpr size_t kLongValue = 24;          // what a name says better
constexpr const char* kOfBase = "(base)";  // a path that the trial leaves as it is

/// A TOML value as it reads: strings without their quotes.
std::string bare(const std::string& value) {
  const bool quoted = value.size() >= 2 && (value.front() == '\'' || value.front() == '"') && value.back() == value.front();
  return quoted ? value.substr(1, value.size() - 2) : value;
}

std::optional<double> number_of(const std::string& text) {
  double value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::string value_at(const sweep::Trial& trial, const std::string& path) {
  if (path.empty()) return trial.name.empty() ? "(unnamed)" : trial.name;
  for (const auto& [at, value] : trial.settings)
    if (at == path) return bare(value);
  return kOfBase;
}

/// Numbers with as few digits as tell them apart, at least four: the tables of the sweep have all of them.
void shorten_numbers(Axis& axis) {
  for (int digits = 4; digits <= 17; ++digits) {
    std::vector<std::string> texts;
    for (const double number : axis.numbers)
      texts.push_back(number == std::floor(number) && std::abs(number) < 1e9 ? fmt::format("{:.0f}", number)
                                                                             : fmt::format("{:.{}g}", number, digits));
    if (std::set<std::string>(texts.begin(), texts.end()).size() < texts.size()) continue;
    axis.values = std::move(texts);
    return;
  }
}

/// Ids without what all of them begin with: "ssd-1b" of "espalier.prune.ssd-1b".
void shorten_ids(Axis& axis) {
  constexpr const char* kOfIds = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
  std::string common = axis.values[0];
  for (const std::string& value : axis.values) {
    if (value.find_first_not_of(kOfIds) != std::string::npos) return;
    common.resize(
        static_cast<size_t>(std::mismatch(common.begin(), common.end(), value.begin(), value.end()).first - common.begin()));
  }
  const size_t dot = common.rfind('.');
  if (dot == std::string::npos) return;
  for (std::string& value : axis.values) value.erase(0, dot + 1);
}

/// Whether ascending numbers over 0 that span a factor of ten have their middle nearer to the middle of a log scale.
bool suits_log(const std::vector<double>& numbers) {
  const double low = numbers.front(), high = numbers.back(), middle = numbers[numbers.size() / 2];
  if (low <= 0 || high < 10 * low) return false;
  const auto off = [](double share) { return std::abs(share - 0.5); };
  return off(std::log(middle / low) / std::log(high / low)) <= off((middle - low) / (high - low));
}

Axis axis_of(const sweep::Results& results, const std::string& path) {
  Axis axis;
  axis.path = path;
  std::map<std::string, size_t> index;
  for (const sweep::TrialResult& row : results.trials) {
    const std::string value = value_at(row.trial, path);
    const auto [at, fresh] = index.emplace(value, axis.values.size());
    if (fresh) axis.values.push_back(value);
    axis.of.push_back(at->second);
  }
  std::vector<double> numbers;
  for (const std::string& value : axis.values)
    if (const auto number = number_of(value)) numbers.push_back(*number);
  if (numbers.empty() || numbers.size() != axis.values.size()) {
    if (!path.empty() && !axis.values.empty()) shorten_ids(axis);
    return axis;
  }
  std::vector<size_t> order(numbers.size()), place(numbers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return numbers[a] < numbers[b]; });
  std::vector<std::string> values;
  for (size_t i = 0; i < order.size(); ++i) {
    place[order[i]] = i;
    values.push_back(axis.values[order[i]]);
    axis.numbers.push_back(numbers[order[i]]);
  }
  axis.values = std::move(values);
  for (size_t& of : axis.of) of = place[of];
  shorten_numbers(axis);
  axis.log = suits_log(axis.numbers);
  return axis;
}

/// Whether the value on `a` says which one there is on `b`.
bool tells(const Axis& a, const Axis& b) {
  std::vector<size_t> to(a.values.size(), SIZE_MAX);
  for (size_t trial = 0; trial < a.of.size(); ++trial) {
    size_t& other = to[a.of[trial]];
    if (other == SIZE_MAX) other = b.of[trial];
    if (other != b.of[trial]) return false;
  }
  return true;
}

/// Whether `axis` needs no place of its own beside `other`.
bool goes_with(const Axis& axis, const Axis& other, size_t settings) {
  if (!tells(other, axis)) return false;
  const bool is_long =
      std::any_of(axis.values.begin(), axis.values.end(), [](const auto& value) { return value.size() > kLongValue; });
  if (other.path.empty() && is_long) return true;
  // Where every setting has a value of its own, of two axes neither goes with the other: both were drawn at random, say.
  return axis.values.size() == other.values.size() && (other.path.empty() || axis.values.size() < settings);
}

std::string last_parts(const std::string& path, size_t parts) {
  size_t at = path.size();
  for (; parts > 0; --parts) {
    at = at == 0 ? std::string::npos : path.rfind('.', at - 1);
    if (at == std::string::npos) return path;
  }
  return path.substr(at + 1);
}

/// What a path is about: "stage.0.prune" of "stage.0.prune.use".
std::string subject_of(const std::string& path) {
  constexpr std::string_view kUse = ".use";
  return path.ends_with(kUse) ? path.substr(0, path.size() - kUse.size()) : path;
}

void name_axes(std::vector<Axis>& axes) {
  std::vector<Axis*> all;
  for (Axis& axis : axes) {
    all.push_back(&axis);
    for (Axis& other : axis.with) all.push_back(&other);
  }
  for (Axis* axis : all) {
    if (axis->path.empty()) {
      axis->label = "name";
      continue;
    }
    const std::string subject = subject_of(axis->path);
    size_t parts = last_parts(subject, 1).find_first_not_of("0123456789") == std::string::npos ? 2 : 1;  // "0" alone says nothing
    const auto taken = [&] {
      return std::any_of(all.begin(), all.end(), [&](const Axis* other) {
        return other->path != axis->path && last_parts(subject_of(other->path), parts) == last_parts(subject, parts);
      });
    };
    while (last_parts(subject, parts) != subject && taken()) ++parts;
    axis->label = taken() ? axis->path : last_parts(subject, parts);
  }
}

std::vector<Axis> axes_of(const sweep::Results& results) {
  std::vector<std::string> paths{""};
  for (const sweep::TrialResult& row : results.trials)
    for (const auto& [path, value] : row.trial.settings)
      if (path != kSeed && std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(path);
  const size_t settings = sweep::repeats_of(results.trials).size();
  std::vector<Axis> axes;
  for (const std::string& path : paths) {
    Axis axis = axis_of(results, path);
    if (axis.values.size() < 2) continue;
    const auto twin = std::find_if(axes.begin(), axes.end(), [&](const Axis& other) { return goes_with(axis, other, settings); });
    if (twin == axes.end())
      axes.push_back(std::move(axis));
    else
      twin->with.push_back(std::move(axis));
  }
  name_axes(axes);
  return axes;
}

std::string label_in(const SweepFacts& facts, size_t trial) {
  std::string text;
  for (const Axis& axis : facts.axes) {
    const std::string& value = axis.values[axis.of[trial]];
    if (value == kOfBase) continue;
    if (&axis != &facts.axes[0] && facts.axes[0].path.empty() && tells(facts.axes[0], axis)) continue;  // the name says it
    text += (text.empty() ? "" : ", ") + (axis.path.empty() ? value : axis.label + " " + value);
  }
  return text.empty() ? (facts.axes.empty() ? "the one setting" : "the base") : text;
}

int rank_of_state(const std::string& state) {
  static const std::vector<std::string> kOrder{"complete", "pruned", "running", "begun", "waiting"};
  return static_cast<int>(std::find(kOrder.begin(), kOrder.end(), state) - kOrder.begin());
}

}  // namespace

SweepFacts sweep_facts(const sweep::Results& results) {
  SweepFacts facts;
  facts.results = results;
  facts.name = fs::absolute(results.folder / "").parent_path().filename().string();
  facts.axes = axes_of(results);
  const sweep::Objective& objective = results.rules.objective;
  for (size_t i = 0; i < results.trials.size(); ++i) {
    facts.labels.push_back(label_in(facts, i));
    const std::string seed = value_at(results.trials[i].trial, kSeed);
    facts.seeds.push_back(seed == kOfBase ? "" : seed);
    std::optional<double> value = sweep::objective_of(results.trials[i], results.rules);
    if (value && !std::isfinite(*value)) value.reset();
    facts.objective.push_back(value);
  }
  facts.order.resize(results.trials.size());
  std::iota(facts.order.begin(), facts.order.end(), size_t{0});
  std::stable_sort(facts.order.begin(), facts.order.end(), [&](size_t a, size_t b) {
    const int state_a = rank_of_state(results.trials[a].outcome.state), state_b = rank_of_state(results.trials[b].outcome.state);
    if (state_a != state_b) return state_a < state_b;
    if (facts.objective[a].has_value() != facts.objective[b].has_value()) return facts.objective[a].has_value();
    return facts.objective[a] && objective.better(*facts.objective[a], *facts.objective[b]);
  });
  for (const std::vector<size_t>& group : sweep::repeats_of(results.trials)) {
    std::vector<double> values;
    for (const size_t trial : group)
      if (facts.complete(trial)) values.push_back(*facts.objective[trial]);
    facts.settings.push_back({facts.labels[group[0]], group, sweep::spread_of(values)});
  }
  std::stable_sort(facts.settings.begin(), facts.settings.end(), [&](const SettingFacts& a, const SettingFacts& b) {
    if ((a.spread.count > 0) != (b.spread.count > 0)) return a.spread.count > 0;
    return a.spread.count > 0 && objective.better(a.spread.mean, b.spread.mean);
  });
  return facts;
}

std::string verdict(const SweepFacts& facts) {
  if (facts.settings.empty() || facts.settings[0].spread.count == 0) return "No trial is complete with a finite objective.";
  if (facts.settings.size() < 2 || facts.settings[1].spread.count == 0)
    return "No other setting has a complete trial to compare it with.";
  const sweep::Spread &a = facts.settings[0].spread, &b = facts.settings[1].spread;
  const std::string& second = facts.settings[1].label;
  const double gap = std::abs(a.mean - b.mean);
  const auto free = static_cast<double>(a.count + b.count - 2);
  if (free == 0)
    return fmt::format(
        "The second, {}, is {:.2g} behind; with one complete trial each, nothing says whether that is more than the "
        "spread of repeats.",
        second, gap);
  const auto squares = [](const sweep::Spread& spread) {
    return static_cast<double>(spread.count - 1) * spread.deviation * spread.deviation;
  };
  const double pooled = std::sqrt((squares(a) + squares(b)) / free);
  const std::string of = fmt::format("the pooled sample deviation of their {} and {} trials", a.count, b.count);
  if (pooled == 0)
    return fmt::format(
        "The second, {}, is {:.2g} behind. Repeats gave equal numbers: nothing here depends on the seed, so they say nothing of "
        "the "
        "spread.",
        second, gap);
  if (gap <= pooled)
    return fmt::format("Within the spread: the second, {}, is {:.2g} behind in the mean, and {} is {:.2g}.", second, gap, of,
                       pooled);
  return fmt::format("{} the spread: the second, {}, is {:.2g} behind in the mean, {:.1f} times {}, {:.2g}.",
                     gap > 2 * pooled ? "More than" : "A little more than", second, gap, gap / pooled, of, pooled);
}

}  // namespace espalier::report
