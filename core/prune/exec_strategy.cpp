// The program is a stranger: every line of it is looked at in full before anything is made of it.

#include "core/prune/exec_strategy.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/base/error.h"
#include "core/base/interrupt.h"
#include "core/base/tail.h"
#include "core/base/talk.h"
#include "core/base/text.h"

namespace espalier::prune {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::pair<UnitKind, const char*> kKinds[] = {{UnitKind::kTransformerBlock, "transformer-block"},
                                                       {UnitKind::kAttention, "attention"},
                                                       {UnitKind::kResnet, "resnet"},
                                                       {UnitKind::kPair, "pair"},
                                                       {UnitKind::kMidBlock, "mid-block"},
                                                       {UnitKind::kMidTail, "mid-tail"},
                                                       {UnitKind::kStage, "stage"},
                                                       {UnitKind::kModule, "module"}};

const std::vector<std::string> kWords = {"rows", "error", "evaluate", "gate_gradients", "statistics", "latency"};

std::string kind_text(UnitKind kind) {
  for (const auto& [each, text] : kKinds)
    if (each == kind) return text;
  return "module";
}

UnitKind kind_of(const std::string& text) {
  std::vector<std::string> known;
  for (const auto& [kind, each] : kKinds) {
    if (text == each) return kind;
    known.emplace_back(each);
  }
  throw UserError("'" + printable(text) + "' is no kind of unit" + did_you_mean(text, known));
}

std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json unit_json(const Unit& unit) {
  Json json{{"path", unit.path},
            {"kind", kind_text(unit.kind)},
            {"module", unit.module},
            {"index", unit.index},
            {"siblings", unit.siblings}};
  json["parameters"] = unit.parameters, json["flops"] = unit.flops, json["bytes"] = unit.bytes;
  json["removable"] = unit.removable;
  if (!unit.removable) json["why_not"] = unit.why_not;
  json["in_shape"] = unit.in_shape, json["out_shape"] = unit.out_shape, json["skip_partners"] = unit.skip_partners;
  return json;
}

UnitName name_of(const Json& json) { return {json.at("path").get<std::string>(), kind_of(json.at("kind").get<std::string>())}; }

std::vector<UnitName> names_of(const Json& json) {
  std::vector<UnitName> names;
  for (const Json& each : json) names.push_back(name_of(each));
  return names;
}

class ExecStrategy final : public PruneStrategy {
 public:
  ExecStrategy(fs::path program, std::string params) : program_(std::move(program)), params_(std::move(params)) {}

  std::string id() const override { return "exec:" + program_.string(); }
  std::string save() const override { return state_; }
  void load(const std::string& state) override { state_ = state; }

  StrategyRows next(const StrategyInput& input) override {
    std::string name = (fs::temp_directory_path() / "espalier-exec-XXXXXX").string();
    const int made = ::mkstemp(name.data());
    if (made < 0) throw Error("[" + id() + "] no temporary file for what it writes to stderr");
    ::close(made);
    const fs::path log = name;
    struct Removed {
      const fs::path& file;
      ~Removed() {
        std::error_code none;
        fs::remove(file, none);
      }
    } const removed{log};
    const InterruptGuard guard;
    try {
      Talk talk({program_.string()}, log);
      talk.say(dumped(question(input)));
      for (;;) {
        const Json said = Json::parse(listen(talk, log));
        if (said.contains("rows")) return rows_of(said);
        if (said.contains("error")) throw UserError("[" + id() + "] " + printable(said.at("error").get<std::string>(), 400));
        talk.say(dumped(answer(said, input)));
      }
    } catch (const Json::exception& error) {
      throw UserError("[" + id() + "] what it says is no answer: " + printable(error.what(), 300) + last_words(log));
    }
  }

 private:
  Json question(const StrategyInput& input) const {
    Json json{{"hello", 1}, {"stage", input.stage}, {"seed", input.seed}, {"params", Json::parse(params_)}, {"state", state_}};
    json["metrics"] = input.metrics;
    json["calibration_batches"] = input.calibration ? input.calibration->batches() : 0;
    json["config"] = Json::parse(input.config_json);
    json["units"] = Json::array();
    for (const Unit& unit : input.units) json["units"].push_back(unit_json(unit));
    return json;
  }

  /// What the program wants to know of units.
  Json answer(const Json& said, const StrategyInput& input) const {
    try {
      if (!said.is_object() || said.size() != 1) throw UserError("each line is an object with one of " + join(kWords, ", "));
      const std::string what = said.begin().key();
      if (std::find(kWords.begin(), kWords.end(), what) == kWords.end())
        throw UserError("'" + printable(what) + "' is nothing that can be asked" + did_you_mean(what, kWords));
      if (input.calibration == nullptr)
        throw UserError("'" + printable(what) + "' works on data; give prune --calibrate RECIPE, or a recipe that has [data]");
      Json out = Json::array();
      if (what == "evaluate") {
        std::vector<std::vector<UnitName>> sets;
        for (const Json& set : said.begin().value()) sets.push_back(names_of(set));
        for (const Score& score : input.calibration->evaluate(sets))
          out.push_back({{"task", score.task}, {"output", score.output}});
      } else if (what == "gate_gradients") {
        for (const GateGradient& each : input.calibration->gate_gradients(names_of(said.begin().value())))
          out.push_back({{"mean", each.mean}, {"magnitude", each.magnitude}});
      } else if (what == "statistics") {
        for (const UnitStatistics& each : input.calibration->statistics(names_of(said.begin().value())))
          out.push_back({{"cosine", each.cosine}, {"relative_norm", each.relative_norm}});
      } else if (what == "latency") {
        double whole = 0;
        for (const double ms : input.calibration->latency(names_of(said.begin().value()), whole)) out.push_back(ms);
      } else {
        throw UserError("'" + what + "' ends the talk, and is not alone in its line");
      }
      return Json{{what, out}};
    } catch (const UserError& error) {
      throw UserError("[" + id() + "] " + error.what());
    }
  }

  StrategyRows rows_of(const Json& said) {
    StrategyRows out;
    try {
      if (!said.at("rows").is_array()) throw UserError("'rows' is no list of {\"path\", \"kind\", \"reason\"}");
      for (const Json& row : said.at("rows")) {
        const UnitName name = name_of(row);
        out.rows.push_back({name.path, name.kind, printable(row.value("reason", ""), 400)});
      }
    } catch (const UserError& error) {
      throw UserError("[" + id() + "] " + error.what());
    }
    if (said.contains("notes"))
      for (const Json& note : said.at("notes")) out.notes.push_back(printable(note.get<std::string>(), 400));
    out.done = said.value("done", true);
    state_ = said.value("state", "");
    return out;
  }

  std::string listen(Talk& talk, const fs::path& log) const {
    while (true) {
      if (std::optional<std::string> line = talk.hear()) return *line;
      if (talk.babbles()) throw UserError("[" + id() + "] writes more than 1 MiB in one line");
      if (talk.gone()) {
        std::optional<ChildEnd> end;
        for (int wait = 0; wait < 500 && !(end = talk.poll()); ++wait) std::this_thread::sleep_for(std::chrono::milliseconds(4));
        throw UserError("[" + id() + "] ended without rows" + (end ? " (" + end->text() + ")" : "") + last_words(log));
      }
      check_interrupt();
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  static std::string last_words(const fs::path& log) {
    const std::string line = last_line_of(log);
    return line.empty() ? "" : "; its last words: " + printable(line, 300);
  }

  fs::path program_;
  std::string params_, state_;
};

}  // namespace

std::unique_ptr<PruneStrategy> exec_strategy(const fs::path& program, const std::string& params) {
  return std::make_unique<ExecStrategy>(program, params);
}

}  // namespace espalier::prune
