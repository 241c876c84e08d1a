#include "core/report/sweep_axes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/report/markup.h"

namespace espalier::report {
namespace {

constexpr size_t kMostValues = 12;    // of a numeric axis before neighbours are put together
constexpr size_t kRanges = 8;         // what they are put together to
constexpr size_t kMostSettings = 20;  // of the first table
constexpr size_t kMostNames = 40;     // of an axis that has no order

struct Group {
  std::string name;
  std::vector<size_t> trials;  // complete
};

/// One scale for all tables of the section.
struct Range {
  double low = INFINITY, high = -INFINITY;
  void take(double value) { low = std::min(low, value), high = std::max(high, value); }
  double percent(double value) const { return high > low ? 3 + 94 * (value - low) / (high - low) : 50; }
};

sweep::Spread spread_of(const SweepFacts& facts, const Group& group) {
  std::vector<double> values;
  for (const size_t trial : group.trials) values.push_back(*facts.objective[trial]);
  return sweep::spread_of(values);
}

Range range_of(const SweepFacts& facts) {
  Range range;
  for (size_t i = 0; i < facts.objective.size(); ++i)
    if (facts.complete(i)) range.take(*facts.objective[i]);
  return range;
}

/// Clipped to the range of the trials: a whisker may go past it.
std::string drawing(const SweepFacts& facts, const Group& group, const Range& range) {
  const sweep::Spread spread = spread_of(facts, group);
  std::string text = "<svg width=\"100%\" height=\"22\" role=\"img\" aria-label=\"" + with_spread(spread.mean, spread.deviation) +
                     "\"><line class=\"grid-line\" x1=\"0\" x2=\"100%\" y1=\"11\" y2=\"11\"/>";
  for (const size_t trial : group.trials)
    text += fmt::format("<circle class=\"one\" cx=\"{:.1f}%\" cy=\"11\" r=\"2.5\"/>", range.percent(*facts.objective[trial]));
  const auto end = [&](double value) { return std::clamp(range.percent(value), 0.0, 100.0); };
  if (spread.deviation > 0)
    text += fmt::format("<line class=\"whisker\" x1=\"{:.1f}%\" x2=\"{:.1f}%\" y1=\"11\" y2=\"11\"/>",
                        end(spread.mean - spread.deviation), end(spread.mean + spread.deviation));
  return text + fmt::format("<circle class=\"mean\" cx=\"{:.1f}%\" cy=\"11\" r=\"4.5\"/></svg>", range.percent(spread.mean));
}

std::vector<Group> groups_of(const SweepFacts& facts, const Axis& axis) {
  std::vector<Group> groups(axis.values.size());
  for (size_t value = 0; value < groups.size(); ++value) groups[value].name = axis.values[value];
  for (size_t trial = 0; trial < axis.of.size(); ++trial)
    if (facts.complete(trial)) groups[axis.of[trial]].trials.push_back(trial);
  if (!axis.numeric()) {
    const sweep::Objective& objective = facts.results.rules.objective;
    std::stable_sort(groups.begin(), groups.end(), [&](const Group& a, const Group& b) {
      if (a.trials.empty() || b.trials.empty()) return !a.trials.empty() && b.trials.empty();
      return objective.better(spread_of(facts, a).mean, spread_of(facts, b).mean);
    });
  }
  if (!axis.numeric() || groups.size() <= kMostValues) return groups;
  std::vector<Group> ranges;
  for (size_t part = 0; part < kRanges; ++part) {
    const size_t begin = part * groups.size() / kRanges, end = (part + 1) * groups.size() / kRanges;
    Group& range = ranges.emplace_back();
    range.name = fmt::format("{} to {}", rounded(axis.numbers[begin]), rounded(axis.numbers[end - 1]));
    for (size_t value = begin; value < end; ++value)
      range.trials.insert(range.trials.end(), groups[value].trials.begin(), groups[value].trials.end());
  }
  return ranges;
}

std::string table(const SweepFacts& facts, const std::string& title, const std::string& under, const std::vector<Group>& groups,
                  const Range& range) {
  std::string text = "<figure class=\"by\"><figcaption>" + escaped(title) + under +
                     "</figcaption><div class=\"scroll\"><table><thead><tr><th>value</th><th class=\"num\">mean</th>"
                     "<th class=\"num\">trials</th><th class=\"plot\"><span>" +
                     rounded(range.low) + "</span><span>" + rounded(range.high) + "</span></th></tr></thead><tbody>\n";
  for (const Group& group : groups) {
    const sweep::Spread spread = spread_of(facts, group);
    const std::string value = spread.count == 0 ? "–" : with_spread(spread.mean, spread.deviation);
    text += fmt::format(
        "<tr><td class=\"name\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"plot\">{}</td></tr>\n",
        escaped(group.name), value, spread.count, spread.count == 0 ? "" : drawing(facts, group, range));
  }
  return text + "</tbody></table></div></figure>\n";
}

std::string settings_table(const SweepFacts& facts, const Range& range) {
  std::vector<Group> groups;
  for (const SettingFacts& setting : facts.settings) {
    if (setting.spread.count == 0 || groups.size() == kMostSettings) break;
    Group& group = groups.emplace_back(Group{setting.label, {}});
    for (const size_t trial : setting.trials)
      if (facts.complete(trial)) group.trials.push_back(trial);
  }
  const bool cut = groups.size() < facts.settings.size();
  return table(facts, "setting",
               cut ? fmt::format(" <span>the {} best of {}, over their repeats</span>", groups.size(), facts.settings.size())
                   : " <span>best first, over its repeats</span>",
               groups, range);
}

std::string axis_table(const SweepFacts& facts, const Axis& axis, const Range& range) {
  std::vector<Group> groups = groups_of(facts, axis);
  std::string under;
  if (!axis.path.empty() && axis.path != axis.label) under += " <span class=\"path\">" + escaped(axis.path) + "</span>";
  for (const Axis& other : axis.with) under += " <span>with " + escaped(other.label) + "</span>";
  if (axis.numeric() && axis.values.size() > kMostValues)
    under += fmt::format(" <span>{} values in {} parts of as many</span>", axis.values.size(), groups.size());
  if (groups.size() > kMostNames) {
    under += fmt::format(" <span>the {} best of {} values</span>", kMostNames, groups.size());
    groups.resize(kMostNames);
  }
  return table(facts, axis.path.empty() ? "name of the [[list]] row" : axis.label, under, groups, range);
}

}  // namespace

std::string axes_section(const SweepFacts& facts) {
  const sweep::Objective& objective = facts.results.rules.objective;
  std::string text = "<section id=\"axes\"><h2>" + escaped(objective.metric) + " by what varies</h2>\n";
  const Range range = range_of(facts);
  if (range.low > range.high) return text + "<p class=\"note\">No trial is complete with a finite objective.</p></section>\n";
  text +=
      "<p class=\"note\">Mean ± sample deviation of the complete trials with a value, whatever else varies; small dots are "
      "trials. All "
      "on one scale, " +
      std::string(objective.maximize ? "more" : "less") + " is better.</p>\n<div class=\"bys\">\n";
  const bool repeats =
      std::any_of(facts.settings.begin(), facts.settings.end(), [](const auto& each) { return each.spread.count > 1; });
  if (repeats && facts.axes.size() != 1) text += settings_table(facts, range);
  for (const Axis& axis : facts.axes) text += axis_table(facts, axis, range);
  return text + "</div></section>\n";
}

std::string parallel_section(const SweepFacts& facts) {
  if (facts.axes.empty()) return "";
  const bool any =
      std::any_of(facts.objective.begin(), facts.objective.end(), [](const auto& value) { return value.has_value(); });
  if (!any) return "";
  const sweep::Objective& objective = facts.results.rules.objective;
  return "<section id=\"parallel\"><div class=\"bar\"><h2>Settings and " + escaped(objective.metric) +
         "</h2><span class=\"legend\"><span class=\"scale\"><span>worst</span><i class=\"a2\"></i><i class=\"a3\"></i><i "
         "class=\"a4\"></i>"
         "<i class=\"a5\"></i><i class=\"a6\"></i><i class=\"a7\"></i><i class=\"a8\"></i><span>best</span></span></span></div>\n"
         "<p class=\"note\">One line is one trial, coloured by rank. Point at one for its numbers; a click keeps it and marks "
         "its row above. Dashed: "
         "not complete.</p>\n<noscript><p>The lines are drawn by a script in this page.</p></noscript>\n"
         "<div class=\"scroll\"><div id=\"lines\"></div></div></section>\n";
}

}  // namespace espalier::report
