#include "core/sweep/scan.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

namespace espalier::sweep {
namespace {

namespace fs = std::filesystem;

/// Stages behind a checkpoint "step-…-stage-002-attempt-000"; 0 without one.
size_t stages_behind(const std::string& standing) {
  const size_t at = standing.find("-stage-");
  return at == std::string::npos ? 0 : static_cast<size_t>(std::stoul(standing.substr(at + 7)));
}

}  // namespace

RunNumbers read_run_numbers(const fs::path& metrics, const std::string& metric) {
  RunNumbers numbers;
  std::ifstream in(metrics, std::ios::binary);
  std::map<std::string, size_t> index;
  std::string line;
  while (std::getline(in, line)) {
    if (in.eof()) break;  // no line feed yet
    const nlohmann::ordered_json row = nlohmann::ordered_json::parse(line, nullptr, false);
    if (!row.is_object() || !row.contains("step")) continue;
    const auto step = row["step"].get<int64_t>();
    const bool training = row.contains("total");
    if (training) numbers.steps = std::max(numbers.steps, step + 1);
    for (const auto& [key, value] : row.items()) {
      if (key == "step" || !value.is_number()) continue;
      const auto [at, fresh] = index.emplace(key, numbers.values.size());
      if (fresh)
        numbers.values.emplace_back(key, value.get<float>());
      else
        numbers.values[at->second].second = value.get<float>();
      // A training row has the number before its update, a held-out one after those that it names.
      if (key == metric) numbers.curve.emplace_back(training ? step + 1 : step, value.get<double>());
    }
  }
  return numbers;
}

std::set<std::string> common_prefixes(const std::vector<Trial>& trials) {
  std::set<std::string> seen, common;
  for (const Trial& trial : trials)
    for (const std::string& prefix : trial.prefixes)
      if (!seen.insert(prefix).second) common.insert(prefix);
  return common;
}

Scanner::Scanner(const Store& store, const std::vector<Trial>& trials, const Rules& rules)
    : store_(store),
      trials_(trials),
      rules_(rules),
      common_(common_prefixes(trials)),
      states_(trials.size()),
      outcomes_(trials.size()) {}

std::vector<std::string> Scanner::prefixes_to_make(size_t index) const {
  const Trial& trial = trials_[index];
  std::vector<std::string> missing;
  for (size_t stage = stages_behind(store_.standing(trial.id)); stage < trial.prefixes.size(); ++stage)
    if (common_.count(trial.prefixes[stage]) != 0) {
      if (fs::exists(store_.shared(trial.prefixes[stage])))
        missing.clear();  // it begins there
      else
        missing.push_back(trial.prefixes[stage]);
    }
  return missing;
}

/// A file of the same size holds the same rows: what was cut off on a resume comes back as it was.
void Scanner::read_curve(size_t index) {
  const fs::path metrics = store_.trial(trials_[index].id) / "metrics.jsonl";
  std::error_code none;
  const std::uintmax_t bytes = fs::file_size(metrics, none);
  if (none || bytes == metrics_bytes_[index]) return;
  states_[index].curve = read_run_numbers(metrics, rules_.objective.metric).curve;
  metrics_bytes_[index] = bytes;
}

const std::vector<TrialState>& Scanner::look(const std::set<size_t>& taken) {
  if (states_.size() != trials_.size()) {
    common_ = common_prefixes(trials_);
    states_.resize(trials_.size());
    outcomes_.resize(trials_.size());
  }
  std::map<std::string, bool> held;  // prefix → somebody makes it
  for (const size_t index : taken)
    for (const std::string& prefix : prefixes_to_make(index)) held[prefix] = true;
  const auto is_being_made = [&](const std::string& prefix) {
    const auto [at, fresh] = held.emplace(prefix, false);
    if (fresh) at->second = is_held(store_.folder() / "shared" / (prefix + ".claim"));
    return at->second;
  };
  for (size_t i = 0; i < trials_.size(); ++i) {
    TrialState& state = states_[i];
    if (state.settled) continue;
    const std::string& id = trials_[i].id;
    outcomes_[i] = store_.outcome(id);
    state.settled = outcomes_[i].has_value();
    state.failed = state.settled && outcomes_[i]->state == "failed";
    state.planned_steps = trials_[i].planned_steps;
    state.begun = fs::exists(store_.trial(id));
    if (rules_.stop.use != "none" && state.begun) read_curve(i);
    if (state.settled) continue;
    state.claimed = taken.count(i) != 0 || store_.claimed(id);
    if (!state.claimed && !common_.empty()) {
      const std::vector<std::string> missing = prefixes_to_make(i);
      state.claimed = std::any_of(missing.begin(), missing.end(), is_being_made);
    }
  }
  return states_;
}

}  // namespace espalier::sweep
