#include "core/sweep/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "core/base/terminal.h"
#include "core/base/text.h"
#include "core/io/toml_json.h"

namespace espalier::sweep {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSeed = "train.seed";

/// "0.00012" of 0.00012f, not of its widened digits.
std::string number(float value) { return std::isfinite(value) ? fmt::format("{}", value) : "nan"; }

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

/// A value as a cell: a string without its quotes.
std::string cell_of(const std::string& value) {
  const nlohmann::ordered_json json = io::json_of_text(value);
  return json.is_string() ? json.get<std::string>() : value;
}

/// Adds what is not there yet, in order.
void join_keys(std::vector<std::string>& keys, const std::string& key) {
  if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
}

std::string setting_of(const Trial& trial, const std::string& path) {
  for (const auto& [at, value] : trial.settings)
    if (at == path) return value;
  return "";
}

void write_csv(const Results& results) {
  std::vector<std::string> settings, values;
  for (const TrialResult& row : results.trials) {
    for (const auto& [path, value] : row.trial.settings) join_keys(settings, path);
    for (const auto& [key, value] : shown_values(row.outcome)) join_keys(values, key);
  }
  std::vector<std::string> cells{"id", "name"};
  cells.insert(cells.end(), settings.begin(), settings.end());
  for (const char* key : {"state", "steps", "planned_steps", "parameters", "seconds", "starts", "failures"})
    cells.emplace_back(key);
  cells.insert(cells.end(), values.begin(), values.end());
  cells.emplace_back("cause");
  std::string text;
  const auto put = [&] {
    for (std::string& cell : cells) cell = csv_cell(cell);
    text += join(cells, ",") + "\n";
  };
  put();
  for (const TrialResult& row : results.trials) {
    const Outcome& outcome = row.outcome;
    cells = {row.trial.id, row.trial.name};
    for (const std::string& path : settings)
      cells.push_back(setting_of(row.trial, path).empty() ? "" : cell_of(setting_of(row.trial, path)));
    for (const std::string& cell : {outcome.state, std::to_string(outcome.steps), std::to_string(row.trial.planned_steps),
                                    std::to_string(outcome.parameters), fmt::format("{:.2f}", outcome.seconds),
                                    std::to_string(outcome.starts), std::to_string(outcome.failures)})
      cells.push_back(cell);
    const train::NamedNumbers shown = shown_values(outcome);
    for (const std::string& key : values) {
      const auto at = std::find_if(shown.begin(), shown.end(), [&](const auto& each) { return each.first == key; });
      cells.push_back(at == shown.end() ? "" : number(at->second));
    }
    cells.push_back(outcome.cause);
    put();
  }
  write_text(results.folder / "trials.csv", text);
}

void write_jsonl(const Results& results) {
  std::string text;
  for (const TrialResult& row : results.trials) {
    nlohmann::ordered_json settings = nlohmann::ordered_json::object(), values = nlohmann::ordered_json::object();
    for (const auto& [path, value] : row.trial.settings) settings[path] = io::json_of_text(value);
    for (const auto& [key, value] : row.outcome.values) values[key] = value;
    text += nlohmann::ordered_json{{"id", row.trial.id},
                                   {"name", row.trial.name},
                                   {"settings", settings},
                                   {"state", row.outcome.state},
                                   {"cause", row.outcome.cause},
                                   {"steps", row.outcome.steps},
                                   {"planned_steps", row.trial.planned_steps},
                                   {"parameters", row.outcome.parameters},
                                   {"seconds", row.outcome.seconds},
                                   {"starts", row.outcome.starts},
                                   {"failures", row.outcome.failures},
                                   {"values", values}}
                .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
            "\n";
  }
  write_text(results.folder / "trials.jsonl", text);
}

}  // namespace

Results collect(const Store& store) {
  Results results{store.folder(), store.sweep_text(), store.rules(), {}};
  for (Trial& trial : store.trials()) {
    Outcome outcome;
    if (std::optional<Outcome> done = store.outcome(trial.id)) {
      outcome = std::move(*done);
    } else {
      const RunNumbers numbers = read_run_numbers(store.trial(trial.id) / "metrics.jsonl", "");
      outcome.state = store.claimed(trial.id) ? "running" : fs::exists(store.trial(trial.id)) ? "begun" : "waiting";
      outcome.steps = numbers.steps;
      outcome.values = numbers.values;
    }
    results.trials.push_back({std::move(trial), std::move(outcome)});
  }
  return results;
}

std::optional<double> objective_of(const TrialResult& result, const Rules& rules) {
  for (const auto& [key, value] : result.outcome.values)
    if (key == rules.objective.metric) return value;
  return std::nullopt;
}

train::NamedNumbers shown_values(const Outcome& outcome) {
  train::NamedNumbers shown;
  double features = 0, held_out = 0;
  bool any = false, any_held_out = false;
  for (const auto& [key, value] : outcome.values) {
    if (key.rfind("feature/", 0) == 0)
      features += value, any = true;
    else if (key.rfind("val/feature/", 0) == 0)
      held_out += value, any_held_out = true;
    else
      shown.emplace_back(key, value);
  }
  if (any) shown.emplace_back("features", static_cast<float>(features));
  if (any_held_out) shown.emplace_back("val/features", static_cast<float>(held_out));
  return shown;
}

std::vector<std::vector<size_t>> repeats_of(const std::vector<TrialResult>& trials) {
  std::vector<std::vector<size_t>> groups;
  std::map<std::string, size_t> index;
  for (size_t i = 0; i < trials.size(); ++i) {
    std::string key = trials[i].trial.name;
    for (const auto& [path, value] : trials[i].trial.settings)
      if (path != kSeed) key += "\n" + path + "=" + value;
    const auto [at, fresh] = index.emplace(key, groups.size());
    if (fresh) groups.emplace_back();
    groups[at->second].push_back(i);
  }
  return groups;
}

Spread spread_of(const std::vector<double>& values) {
  Spread spread{.count = values.size()};
  if (values.empty()) return spread;
  for (const double value : values) spread.mean += value / static_cast<double>(values.size());
  double squares = 0;
  for (const double value : values) squares += (value - spread.mean) * (value - spread.mean);
  if (values.size() > 1) spread.deviation = std::sqrt(squares / static_cast<double>(values.size() - 1));
  return spread;
}

void write_tables(const Results& results) {
  write_csv(results);
  write_jsonl(results);
}

std::string summary_table(const Results& results) {
  struct Line {
    double mean;
    std::vector<std::string> cells;
  };
  std::vector<Line> lines;
  for (const std::vector<size_t>& group : repeats_of(results.trials)) {
    std::vector<double> values;
    std::map<std::string, int> states;
    int64_t parameters = 0;
    for (const size_t i : group) {
      const TrialResult& row = results.trials[i];
      ++states[row.outcome.state];
      parameters = std::max(parameters, row.outcome.parameters);
      if (const auto value = objective_of(row, results.rules); value && row.outcome.state == "complete") values.push_back(*value);
    }
    const Spread spread = spread_of(values);
    Trial shown = results.trials[group[0]].trial;
    std::erase_if(shown.settings, [&](const auto& each) { return each.first == kSeed && group.size() > 1; });
    std::string state;
    for (const auto& [name, count] : states) state += (state.empty() ? "" : ", ") + std::to_string(count) + " " + name;
    const std::string value = values.empty()      ? "–"
                              : values.size() > 1 ? fmt::format("{:.6g} ± {:.2g}", spread.mean, spread.deviation)
                                                  : fmt::format("{:.6g}", spread.mean);
    const double worst = results.rules.objective.maximize ? -INFINITY : INFINITY;
    lines.push_back(
        {values.empty() ? worst : spread.mean, {value, parameters > 0 ? with_commas(parameters) : "", state, label_of(shown)}});
  }
  std::stable_sort(lines.begin(), lines.end(),
                   [&](const Line& a, const Line& b) { return results.rules.objective.better(a.mean, b.mean); });
  using Align = terminal::Table::Align;
  terminal::Table table({Align::kRight, Align::kRight, Align::kLeft, Align::kLeft});
  table.header({results.rules.objective.metric, "parameters", "trials", "settings"});
  for (Line& line : lines) table.row(std::move(line.cells));
  if (results.rules.share.teacher_values != "f16") return table.text();
  return table.text() + "[share] teacher_values = \"f16\": students were compared with the teacher's values rounded to f16\n";
}

}  // namespace espalier::sweep
