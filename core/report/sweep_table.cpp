// A cell that is shown rounded, or as a badge, carries what it is sorted by in data-v.

#include "core/report/sweep_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/text.h"
#include "core/report/markup.h"

namespace espalier::report {
namespace {

constexpr size_t kLongValue = 24;  // a value that is better told by the name it goes with

std::string head(const std::string& text, bool number) {
  return fmt::format("<th{}><button type=\"button\">{}</button></th>", number ? " class=\"num\"" : "", escaped(text));
}

std::string cell(double value, const std::string& text) {
  return fmt::format("<td class=\"num\" data-v=\"{}\">{}</td>", value, text);
}

const char* const kNothing = "<td class=\"num\"></td>";

/// Digits that tell the trials' objectives apart: three of their range.
int decimals_of(const SweepFacts& facts) {
  double low = INFINITY, high = -INFINITY;
  for (const auto& value : facts.objective)
    if (value) low = std::min(low, *value), high = std::max(high, *value);
  if (!(high > low)) return -1;
  const double range = high - low;
  return std::clamp(2 - static_cast<int>(std::floor(std::log10(range))), 0, 9);
}

std::string objective_cell(const SweepFacts& facts, size_t trial, int decimals) {
  if (facts.objective[trial]) {
    const double value = *facts.objective[trial];
    const bool plain = decimals >= 0 && decimals < 9 && std::abs(value) < 1e7;
    return cell(value, "<b>" + (plain ? fmt::format("{:.{}f}", value, decimals) : rounded(value)) + "</b>");
  }
  return sweep::objective_of(facts.results.trials[trial], facts.results.rules) ? "<td class=\"num\">not finite</td>" : kNothing;
}

std::string state_cell(const sweep::Outcome& outcome) {
  const char* kind = outcome.state == "complete" ? "yes" : outcome.state == "failed" ? "no" : "plain";
  std::string text = fmt::format("<td data-v=\"{0}\"><span class=\"badge {1}\">{0}</span>", escaped(outcome.state), kind);
  if (outcome.starts > 1) text += fmt::format(" <span class=\"soft\">{} starts</span>", outcome.starts);
  if (!outcome.cause.empty()) text += "<div class=\"cause\">" + escaped(outcome.cause) + "</div>";
  return text + "</td>";
}

/// Columns of settings: what varies, and what goes with it where its values are short enough to read.
struct Column {
  std::string label;
  std::vector<std::string> cells;      // [trial]
  std::vector<const double*> numbers;  // [trial], of a numeric axis
};

Column column_of(const Axis& axis) {
  Column column{axis.label, {}, {}};
  for (const size_t of : axis.of) {
    column.cells.push_back(axis.values[of]);
    column.numbers.push_back(axis.numeric() ? &axis.numbers[of] : nullptr);
  }
  return column;
}

std::vector<Column> columns_of(const SweepFacts& facts) {
  std::vector<Column> columns;
  const auto is_long = [](const std::string& value) { return value.size() > kLongValue; };
  for (const Axis& axis : facts.axes) {
    columns.push_back(column_of(axis));
    for (const Axis& other : axis.with)
      if (std::none_of(other.values.begin(), other.values.end(), is_long)) columns.push_back(column_of(other));
  }
  const bool seeds = std::any_of(facts.seeds.begin(), facts.seeds.end(), [](const std::string& seed) { return !seed.empty(); });
  if (seeds) columns.push_back({"seed", facts.seeds, std::vector<const double*>(facts.seeds.size(), nullptr)});
  return columns;
}

std::string row_of(const SweepFacts& facts, const std::vector<Column>& columns, const std::vector<std::string>& keys, size_t i,
                   int decimals) {
  const auto& [trial, outcome] = facts.results.trials[i];
  const std::string id = escaped(trial.id.substr(0, 8));
  std::string text = fmt::format("<tr data-trial=\"{}\"><td class=\"path\">{}</td>", i,
                                 facts.pages[i].empty() ? id : "<a href=\"" + escaped(facts.pages[i]) + "\">" + id + "</a>");
  text += objective_cell(facts, i, decimals);
  for (const Column& column : columns) {
    const std::string& value = column.cells[i];
    if (column.numbers[i] != nullptr)
      text += cell(*column.numbers[i], escaped(value));
    else
      text += fmt::format("<td class=\"clip\"{}>{}</td>", value.size() > 32 ? " title=\"" + escaped(value) + "\"" : "",
                          escaped(value));
  }
  text += state_cell(outcome);
  text += cell(static_cast<double>(outcome.steps),
               with_commas(outcome.steps) + (outcome.steps == trial.planned_steps
                                                 ? ""
                                                 : " <span class=\"soft\">of " + with_commas(trial.planned_steps) + "</span>"));
  text += outcome.parameters > 0 ? cell(static_cast<double>(outcome.parameters), counted(static_cast<double>(outcome.parameters)))
                                 : kNothing;
  text += outcome.seconds > 0 ? cell(outcome.seconds, fmt::format("{:.3g}", outcome.seconds)) : kNothing;
  const train::NamedNumbers shown = sweep::shown_values(outcome);
  for (const std::string& key : keys) {
    const auto at = std::find_if(shown.begin(), shown.end(), [&](const auto& each) { return each.first == key; });
    text += at == shown.end()           ? kNothing
            : std::isfinite(at->second) ? cell(at->second, rounded(at->second))
                                        : "<td class=\"num\">not finite</td>";
  }
  return text + "</tr>\n";
}

}  // namespace

std::string table_section(const SweepFacts& facts) {
  const std::string& metric = facts.results.rules.objective.metric;
  std::vector<std::string> keys;
  for (const sweep::TrialResult& row : facts.results.trials)
    for (const auto& [key, value] : sweep::shown_values(row.outcome))
      if (key != metric && std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  const std::vector<Column> columns = columns_of(facts);
  std::string text =
      "<section id=\"trials\"><h2>Trials</h2>\n<p class=\"note\">A click on a heading sorts by it. The id leads to the trial's "
      "own report.</p>\n<div class=\"scroll tall\"><table class=\"sortable\"><thead><tr>" +
      head("trial", false) + head(metric, true);
  for (const Column& column : columns) text += head(column.label, !column.numbers.empty() && column.numbers[0] != nullptr);
  text += head("state", false);
  for (const char* name : {"steps", "parameters", "seconds"}) text += head(name, true);
  for (const std::string& key : keys) text += head(key, true);
  text += "</tr></thead><tbody>\n";
  const int decimals = decimals_of(facts);
  for (const size_t i : facts.order) text += row_of(facts, columns, keys, i, decimals);
  return text + "</tbody></table></div></section>\n";
}

}  // namespace espalier::report
