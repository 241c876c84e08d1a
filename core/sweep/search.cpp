// The program is a stranger: each of its answers is looked at in full before anything is made of it, and nothing waits for it.

#include "core/sweep/search.h"
#include "core/io/toml_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/base/interrupt.h"
#include "core/base/sha256.h"
#include "core/base/tail.h"
#include "core/base/text.h"

namespace espalier::sweep {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMostRepeats = 10;
constexpr size_t kIdDigits = 16;

std::string dumped(const Json& json) { return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); }

Json axis_json(const Distribution& axis) {
  Json json{{"path", axis.path}, {"kind", axis.kind}};
  if (axis.kind == "choice") {
    json["choices"] = Json::array();
    for (const auto& choice : axis.choices) json["choices"].push_back(io::json_of(*choice));
  } else if (axis.kind == "integer") {
    json["low"] = static_cast<int64_t>(axis.low), json["high"] = static_cast<int64_t>(axis.high);
  } else {
    json["low"] = axis.low, json["high"] = axis.high;
  }
  return json;
}

Json axes_json(const SweepFile& file) {
  Json axes = Json::array();
  for (const Distribution& axis : file.space) axes.push_back(axis_json(axis));
  return axes;
}

/// The same number as the program has it, and a float for TOML.
std::string float_text(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string shown(const Json& json) { return printable(dumped(json), 80); }

/// An axis's value in an answer. `why`: what is wrong with it.
std::optional<Setting> setting_of(const Distribution& axis, const Json& value, std::string& why) {
  if (axis.kind == "choice") {
    for (size_t i = 0; i < axis.choices.size(); ++i)
      if (io::json_of(*axis.choices[i]) == value) {
        Setting setting{axis.path, axis.choices[i], value_text(*axis.choices[i]), axis.place, axis.at};
        setting.at.insert(setting.at.end(), {"choice", std::to_string(i)});
        return setting;
      }
    why = fmt::format("'{}' = {}, which is none of its choices", axis.path, shown(value));
    return std::nullopt;
  }
  const bool whole = axis.kind == "integer";
  if (whole ? !value.is_number_integer() : !value.is_number()) {
    why = fmt::format("'{}' = {}, and it takes {}", axis.path, shown(value), whole ? "an integer" : "a number");
    return std::nullopt;
  }
  const auto number = value.get<double>();
  if (!(number >= axis.low && number <= axis.high)) {
    why = fmt::format("'{}' = {}, which is not from {} to {}", axis.path, shown(value), axis.low, axis.high);
    return std::nullopt;
  }
  const std::shared_ptr<const toml::node> node =
      whole ? std::shared_ptr<const toml::node>(std::make_shared<toml::value<int64_t>>(value.get<int64_t>()))
            : std::make_shared<toml::value<double>>(number);
  return Setting{axis.path, node, whole ? value_text(*node) : float_text(number), axis.place};
}

/// The settings of an answer, in the order of the axes. `why`: what is wrong with it.
Point point_of(const SweepFile& file, const Json& settings, std::string& why) {
  Point point;
  std::vector<std::string> paths;
  for (const Distribution& axis : file.space) paths.push_back(axis.path);
  for (const auto& [path, value] : settings.items())
    if (std::find(paths.begin(), paths.end(), path) == paths.end()) {
      why = fmt::format("'{}', which is no axis{}", printable(path), did_you_mean(path, paths));
      return point;
    }
  for (const Distribution& axis : file.space) {
    if (!settings.contains(axis.path)) {
      why = fmt::format("nothing for '{}'", axis.path);
      return point;
    }
    const std::optional<Setting> setting = setting_of(axis, settings[axis.path], why);
    if (!setting) return point;
    point.settings.push_back(*setting);
  }
  return point;
}

/// A trial's settings as the program knows them.
Json settings_json(const Trial& trial) {
  Json settings = Json::object();
  for (const auto& [path, text] : trial.settings) settings[path] = io::json_of_text(text);
  return settings;
}

/// What the program is told of how a trial ended.
Json result_json(const Outcome& outcome, const Objective& objective) {
  std::optional<double> value;
  for (const auto& [key, number] : outcome.values)
    if (key == objective.metric && std::isfinite(number)) value = number;
  Json json{{"state", outcome.state == "complete" && !value ? "failed" : outcome.state}};
  if (value && outcome.state != "failed") json["value"] = *value;
  json["steps"] = outcome.steps;
  return json;
}

}  // namespace

void SearchProgram::begin(const std::vector<Trial>& trials, const std::vector<std::optional<Outcome>>& outcomes) {
  Json known = Json::array();
  for (size_t i = 0; i < trials.size(); ++i) {
    const Json result = outcomes[i] ? result_json(*outcomes[i], context_.file.rules.objective) : Json{{"state", "running"}};
    known_.emplace(trials[i].id, Known{i + 1, outcomes[i] ? dumped(result) : ""});
    const Json settings = settings_json(trials[i]);
    std::string why;
    point_of(context_.file, settings, why);
    if (!why.empty()) continue;  // from before the axes were changed: no trial of this search
    Json line{{"trial", i + 1}, {"settings", settings}};
    line.update(result);
    known.push_back(std::move(line));
  }
  if (static_cast<int64_t>(trials.size()) >= total()) return;
  const std::string program = context_.file.search.program.string();
  std::error_code none;
  log_begins_ = std::filesystem::exists(context_.log) ? std::filesystem::file_size(context_.log, none) : 0;
  try {
    talk_.emplace(std::vector<std::string>{program}, context_.log);
  } catch (const Error& error) {
    throw UserError(std::string(error.what()) +
                    " (a search's program is executable, and its first line names what runs it, as in #!/usr/bin/env python3)");
  }
  const Objective& objective = context_.file.rules.objective;
  talk_->say(dumped(Json{{"hello", 1},
                         {"goal", objective.maximize ? "maximize" : "minimize"},
                         {"metric", objective.metric},
                         {"seed", context_.file.search.seed},
                         {"trials", total()},
                         {"axes", axes_json(context_.file)},
                         {"known", std::move(known)}}));
}

void SearchProgram::give_up(const std::string& why) {
  const std::string last = last_line_of(context_.log, log_begins_);
  context_.say(fmt::format("[{}] {}; {}; no more trials are asked for, those that run go on to their end",
                           context_.file.search.program.string(), why,
                           last.empty() ? "it wrote nothing to stderr" : "its last line of stderr: " + last));
  over_ = failed_ = true;
  talk_.reset();
}

void SearchProgram::ask() {
  talk_->say(dumped(Json{{"ask", known_.size() + 1}}));
  asked_ = Clock::now();
}

std::optional<AskedTrial> SearchProgram::next() {
  if (over_ || !talk_) return std::nullopt;
  if (!asked_) ask();
  if (const std::optional<std::string> line = talk_->hear()) {
    asked_.reset();
    return answered(*line);
  }
  if (interrupt_requested()) return std::nullopt;  // Ctrl-C ends the program as well
  if (talk_->gone()) {
    std::optional<ChildEnd> end = talk_->poll();
    // Its stdout closes a moment before it has ended.
    for (int i = 0; i < 50 && !end; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10)), end = talk_->poll();
    give_up(end ? "ended with " + end->text() + " although a trial was asked for"
                : std::string("closed its stdout although a trial was asked for"));
  } else if (talk_->babbles()) {
    give_up(fmt::format("wrote more than {} without an end of line", human_bytes(Talk::kMostLine)));
  } else if (std::chrono::duration<double>(Clock::now() - *asked_).count() > context_.file.search.answer_within_s) {
    give_up(fmt::format("gave no answer within {} s (search_timeout of the sweep file)", context_.file.search.answer_within_s));
  }
  return std::nullopt;
}

std::optional<AskedTrial> SearchProgram::answered(const std::string& line) {
  const Json answer = Json::parse(line, nullptr, false);
  if (answer.is_object() && answer.size() == 1 && answer.contains("done") && answer["done"] == true) {
    over_ = true;
    context_.say(
        fmt::format("[{}] asks for no more than {} trials of {}", context_.file.search.program.string(), known_.size(), total()));
    return std::nullopt;
  }
  if (answer.is_object() && answer.contains("settings") && answer["settings"].is_object()) {
    std::string why;
    const Point point = point_of(context_.file, answer["settings"], why);
    if (why.empty()) return trial_of(point);
    give_up("asks for " + why);
    return std::nullopt;
  }
  give_up((answer.is_discarded() ? "answered what is no JSON: " : "answered neither settings nor done: ") + printable(line, 120) +
          " (its stdout is for answers alone)");
  return std::nullopt;
}

std::optional<AskedTrial> SearchProgram::trial_of(const Point& point) {
  ErrorList faults;
  const train::Recipe recipe = recipe_of(context_.file, point.settings, faults);
  if (faults.empty()) context_.check(recipe, faults);
  AskedTrial asked;
  if (faults.empty()) {
    asked.trial = make_trial(point, recipe);
    asked.fault = context_.fault(asked.trial, recipe);
  } else {
    asked.fault = join(faults.messages(), "; ");
    std::string text;
    for (const Setting& setting : point.settings) {
      asked.trial.settings.emplace_back(setting.path, setting.text);
      text += setting.path + " = " + setting.text + "\n";
    }
    asked.trial.id = sha256_hex(text).substr(0, kIdDigits);
  }
  if (!asked.fault.empty()) asked.trial.recipe.clear(), asked.trial.planned_steps = 0, asked.trial.prefixes.clear();
  const size_t number = known_.size() + 1;
  const auto [at, fresh] = known_.emplace(asked.trial.id, Known{number, ""});
  if (fresh) {
    repeats_ = 0;
    return asked;
  }
  if (++repeats_ > kMostRepeats) {
    give_up(
        fmt::format("asked {} times in a row for a trial that there is already, lastly '{}'", repeats_, label_of(asked.trial)));
    return std::nullopt;
  }
  Json told{{"trial", number}, {"settings", settings_json(asked.trial)}};
  if (!at->second.result.empty()) told.update(Json::parse(at->second.result));
  told["state"] = "duplicate";
  told["of"] = at->second.number;
  talk_->say(dumped(Json{{"tell", std::move(told)}}));
  return std::nullopt;
}

void SearchProgram::tell(size_t index, const Trial& trial, const Outcome& outcome) {
  const Json result = result_json(outcome, context_.file.rules.objective);
  known_.at(trial.id).result = dumped(result);
  if (!talk_) return;
  Json told{{"trial", index + 1}, {"settings", settings_json(trial)}};
  told.update(result);
  talk_->say(dumped(Json{{"tell", std::move(told)}}));
}

std::string search_text(const SweepFile& file, const std::string& base_recipe) {
  Json axes = Json::array();
  for (const Distribution& axis : file.space) axes.push_back(dumped(axis_json(axis)));  // one a line, to be compared by lines
  return Json{{"axes", std::move(axes)}, {"base", split(base_recipe, '\n')}}.dump(1) + "\n";
}

std::string axes_text(const SweepFile& file) {
  std::string text;
  for (const Distribution& axis : file.space) {
    std::vector<std::string> choices;
    for (const auto& choice : axis.choices) choices.push_back(value_text(*choice));
    text += fmt::format("  {}  {} {}\n", axis.path, axis.kind,
                        axis.kind == "choice" ? "of " + join(choices, ", ") : fmt::format("from {} to {}", axis.low, axis.high));
  }
  return text;
}

}  // namespace espalier::sweep
