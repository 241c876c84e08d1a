#include "core/sweep/store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/text.h"

namespace espalier::sweep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr uint64_t kMostListBytes = uint64_t{1} << 30;

std::string list_text(const std::vector<Trial>& trials) {
  std::string text;
  for (const Trial& trial : trials) text += to_json_line(trial) + "\n";
  return text;
}

std::string dumped(const Json& json) { return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); }

std::string host_name() {
  char name[256] = "";
  ::gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace

fs::path Store::state(std::string_view id, const char* suffix) const { return folder_ / "state" / (std::string(id) + suffix); }

bool Store::exists() const { return fs::is_regular_file(folder_ / "list.jsonl"); }

void Store::create(const std::string& text, const Rules& rules, const std::vector<Trial>& trials) const {
  AtomicFolder made(folder_);
  for (const char* inner : {"trials", "state", "shared"}) fs::create_directories(made.path() / inner);
  write_text(made.path() / "sweep.toml", text);
  write_text(made.path() / "rules.json", to_json(rules));
  write_text(made.path() / "list.jsonl", list_text(trials));
  made.publish();
}

void Store::extend(const std::string& text, const Rules& rules, const std::vector<Trial>& trials) const {
  write_text(folder_ / "list.jsonl", list_text(trials));
  write_text(folder_ / "rules.json", to_json(rules));
  write_text(folder_ / "sweep.toml", text);
}

void Store::write_list(const std::vector<Trial>& trials) const { write_text(folder_ / "list.jsonl", list_text(trials)); }

std::string Store::sweep_text() const { return read_text(folder_ / "sweep.toml"); }

Rules Store::rules() const { return rules_from_json(read_text(folder_ / "rules.json"), (folder_ / "rules.json").string()); }

std::map<std::string, std::string> Store::inputs() const {
  const fs::path file = folder_ / "inputs.json";
  std::map<std::string, std::string> inputs;
  if (!fs::exists(file)) return inputs;
  const Json json = Json::parse(read_text(file), nullptr, false);
  if (!json.is_object()) throw UserError("[" + file.string() + "] does not hold a sweep's inputs");
  for (const auto& [path, print] : json.items())
    if (print.is_string()) inputs[path] = print.get<std::string>();
  return inputs;
}

void Store::write_inputs(const std::map<std::string, std::string>& inputs) const {
  write_text(folder_ / "inputs.json", Json(inputs).dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

std::vector<Trial> Store::trials() const {
  const fs::path file = folder_ / "list.jsonl";
  if (!fs::is_regular_file(file)) throw UserError("[" + folder_.string() + "] is no sweep's folder (it has no list.jsonl)");
  std::vector<Trial> trials;
  const std::vector<std::string> lines = split(read_text(file, kMostListBytes), '\n');
  for (size_t i = 0; i < lines.size(); ++i)
    if (!lines[i].empty()) trials.push_back(from_json_line(lines[i], file.string() + ":" + std::to_string(i + 1)));
  return trials;
}

std::optional<LockFile> Store::claim(std::string_view id) const {
  if (outcome(id)) return std::nullopt;
  std::optional<LockFile> held = LockFile::try_hold(state(id, ".claim"));
  if (held && outcome(id)) return std::nullopt;  // done by whoever held it until now
  return held;
}

bool Store::claimed(std::string_view id) const { return is_held(state(id, ".claim")); }

int64_t Store::last_sign_ns(std::string_view id) const {
  struct stat status = {};
  if (::stat(state(id, ".claim").c_str(), &status) != 0) return 0;
  return int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

std::optional<LockFile> Store::claim_shared(std::string_view prefix) const {
  return LockFile::try_hold(folder_ / "shared" / (std::string(prefix) + ".claim"));
}

std::optional<LockFile> Store::hold() const { return LockFile::try_hold(folder_ / "state" / "controller"); }

std::optional<Outcome> Store::outcome(std::string_view id) const {
  const fs::path file = state(id, ".done");
  if (!fs::exists(file)) return std::nullopt;
  try {
    const Json json = Json::parse(read_text(file));
    Outcome outcome{.state = json.at("state"),
                    .cause = json.at("cause"),
                    .steps = json.at("steps"),
                    .parameters = json.at("parameters"),
                    .seconds = json.at("seconds"),
                    .values = {},
                    .starts = json.at("starts"),
                    .failures = json.at("failures")};
    for (const auto& [key, value] : json.at("values").items())
      outcome.values.emplace_back(key, value.is_number() ? value.get<float>() : std::numeric_limits<float>::quiet_NaN());
    return outcome;
  } catch (const nlohmann::json::exception& error) {
    throw UserError("[" + file.string() + "] is no outcome of a trial: " + printable(error.what(), 200) +
                    "; remove it, and the trial is looked at again");
  }
}

void Store::finish(std::string_view id, const Outcome& outcome) const {
  Json values = Json::object();
  for (const auto& [key, value] : outcome.values) values[key] = value;
  write_text(state(id, ".done"), dumped(Json{{"state", outcome.state},
                                             {"cause", outcome.cause},
                                             {"steps", outcome.steps},
                                             {"parameters", outcome.parameters},
                                             {"seconds", outcome.seconds},
                                             {"starts", outcome.starts},
                                             {"failures", outcome.failures},
                                             {"values", std::move(values)}}) +
                                     "\n");
}

void Store::reopen(std::string_view id) const {
  if (const std::optional<LockFile> held = LockFile::try_hold(state(id, ".claim"))) fs::remove(state(id, ".done"));
}

void Store::forget(std::string_view id) const {
  const std::optional<LockFile> held = LockFile::try_hold(state(id, ".claim"));
  if (!held) return;
  fs::resize_file(state(id, ".claim"), 0);
  fs::remove(state(id, ".done"));
}

std::string Store::standing(std::string_view id) const {
  std::string newest;
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(trial(id) / "checkpoints", none))
    if (const std::string name = entry.path().filename().string(); name.rfind("step-", 0) == 0) newest = std::max(newest, name);
  return newest;
}

std::string start_line(const std::string& from) {
  return dumped(Json{{"start", from}, {"host", host_name()}, {"pid", ::getpid()}});
}

std::string end_line(const std::string& how, const std::string& cause, double seconds) {
  return dumped(Json{{"end", how}, {"cause", cause}, {"seconds", seconds}});
}

History read_history(const std::string& claim_text) {
  History history;
  for (const std::string& line : split(claim_text, '\n')) {
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object()) continue;  // cut off by a kill, or empty
    if (json.contains("start")) {
      const std::string from = json.value("start", "");
      if (from != history.last_from) history.killed = 0;
      history.last_from = from;
      history.last_end.clear();
      ++history.starts;
    } else if (json.contains("end")) {
      history.seconds += json.value("seconds", 0.0);
      history.last_end = json.value("end", "");
      history.killed = history.last_end == "killed" ? history.killed + 1 : 0;
      if (history.last_end == "failed" || history.last_end == "stalled")
        ++history.failures, history.cause = json.value("cause", "");
    }
  }
  return history;
}

}  // namespace espalier::sweep
