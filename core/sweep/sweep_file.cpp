#include "core/sweep/sweep_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/base/files.h"
#include "core/base/text.h"
#include "core/sweep/axes.h"

namespace espalier::sweep {
namespace {

namespace fs = std::filesystem;

class Reader {
 public:
  Reader(SweepFile& sweep, const toml::table& root, ErrorList& errors)
      : sweep_(sweep), errors_(errors), file_(sweep.file.string()), top_(root, file_, "sweep", errors) {}

  void run() {
    base();
    search();
    std::vector<std::vector<Point>> factors = axes();
    if (const int64_t repeats = integer(top_, "repeats", 1, 100000, 1); top_.has("repeats"))
      factors.push_back(repeated(repeats, seed_of_base()));
    sweep_.points = product(factors, file_, errors_);
    exclude();
    objective();
    stop();
    workers();
    share();
    top_.finish();
  }

 private:
  using Table = const toml::table*;

  int64_t integer(io::TomlReader& reader, const char* key, int64_t low, int64_t high, int64_t otherwise) {
    const std::optional<int64_t> value = reader.integer(key);
    if (value && *value >= low && *value <= high) return *value;
    if (value) reader.fault(key, fmt::format("'{}' must be from {} to {}", key, low, high));
    return otherwise;
  }
  double number(io::TomlReader& reader, const char* key, double low, double high, double otherwise) {
    const std::optional<double> value = reader.number(key);
    if (value && *value >= low && *value <= high) return *value;
    if (value) reader.fault(key, fmt::format("'{}' must be from {} to {}", key, low, high));
    return otherwise;
  }
  std::string choice(io::TomlReader& reader, const char* key, const std::vector<std::string>& choices) {
    const std::optional<std::string> value = reader.string(key);
    if (!value || std::find(choices.begin(), choices.end(), *value) != choices.end()) return value.value_or(choices[0]);
    reader.fault(key, fmt::format("'{}' must be one of {}, not '{}'{}", key, join(choices, ", "), printable(*value),
                                  did_you_mean(*value, choices)));
    return choices[0];
  }

  void base() {
    top_.require("base");
    const std::optional<std::string> given = top_.string("base");
    if (!given) return;
    sweep_.base = (fs::absolute(sweep_.file).parent_path() / *given).lexically_normal();
    if (!fs::is_regular_file(sweep_.base))
      return top_.fault("base", fmt::format("'{}' is no recipe's file (looked for {})", printable(*given), sweep_.base.string()));
    sweep_.base_text = read_text(sweep_.base);
    try {
      base_ = io::parse_toml(sweep_.base_text, sweep_.base.string());
    } catch (const UserError& error) {
      errors_.add(error.what());
      sweep_.base_text.clear();
    }
  }

  void search() {
    const std::optional<std::string> use = top_.string("search");
    sweep_.search.trials = integer(top_, "trials", 1, 1000000, 0);
    sweep_.search.answer_within_s = number(top_, "search_timeout", 0.1, 1e6, 60);
    if (!use) {
      if (top_.has("search_timeout")) top_.fault("search_timeout", "'search_timeout' is for a 'search', and there is none");
      if (top_.has("trials")) top_.fault("trials", "'trials' is how many a 'search' asks for, and there is no 'search'");
      return;
    }
    if (use->rfind("exec:", 0) != 0 || use->size() == 5)
      return top_.fault("search", "'search' must be \"exec:PROGRAM\", as in \"exec:optuna_search.py\"");
    sweep_.search.program = (fs::absolute(sweep_.file).parent_path() / use->substr(5)).lexically_normal();
    if (!fs::is_regular_file(sweep_.search.program))
      top_.fault("search", fmt::format("'{}' is no program (looked for {})", printable(*use), sweep_.search.program.string()));
    top_.require("trials");
  }

  std::vector<std::vector<Point>> axes() {
    AxisReader axes(file_, errors_);
    std::vector<std::vector<Point>> factors;
    const auto add = [&](std::vector<Point> points) {
      if (!points.empty()) factors.push_back(std::move(points));
    };
    if (!top_.tables("list").empty()) add(axes.list(top_.tables("list")));
    if (const Table grid = top_.table("grid"))
      for (std::vector<Point>& axis : axes.grid(*grid)) add(std::move(axis));
    if (const Table zip = top_.table("zip")) add(axes.zip(*zip));
    if (const Table random = top_.table("random")) {
      std::vector<Point> drawn = axes.random(*random, !sweep_.search.program.empty(), sweep_.search.seed, sweep_.space);
      if (sweep_.search.program.empty()) add(std::move(drawn));
    }
    if (!sweep_.search.program.empty()) {
      if (sweep_.space.empty()) top_.fault("search", "a 'search' needs [random]: the axes that it may choose from");
      if (!factors.empty() || top_.has("repeats") || top_.has("exclude"))
        top_.fault("search",
                   "a 'search' chooses every trial: it goes with [random] alone, not with [grid], [zip], [[list]], "
                   "[[exclude]] or repeats");
    } else if (factors.empty() && !top_.has("repeats") && errors_.empty()) {
      errors_.add(file_ + ": nothing varies; give [grid], [zip], [random], [[list]] or repeats");
    }
    return factors;
  }

  int64_t seed_of_base() const { return base_["train"]["seed"].value<int64_t>().value_or(0); }

  /// The same trials with seeds that count up.
  std::vector<Point> repeated(int64_t repeats, int64_t first) {
    std::vector<Point> points;
    for (int64_t i = 0; i < repeats; ++i) {
      const toml::value<int64_t> seed(first + i);
      points.push_back(
          {"", {{"train.seed", std::make_shared<toml::value<int64_t>>(seed), value_text(seed), top_.place("repeats")}}});
    }
    return points;
  }

  void exclude() {
    AxisReader axes(file_, errors_);
    for (const Table row : top_.tables("exclude")) {
      const std::vector<Setting> wanted = axes.settings_of(*row, {}, {});
      std::set<std::string> paths;
      for (const Point& point : sweep_.points)
        for (const Setting& setting : point.settings) paths.insert(setting.path);
      const std::vector<std::string> known(paths.begin(), paths.end());
      bool sound = !wanted.empty();
      for (const Setting& each : wanted)
        if (paths.count(each.path) == 0 && !known.empty()) {
          errors_.add(each.place + ": [[exclude]] asks for '" + printable(each.path) + "', which no axis sets" +
                      did_you_mean(each.path, known));
          sound = false;
        }
      if (!sound) continue;
      const size_t before = sweep_.points.size();
      std::erase_if(sweep_.points, [&](const Point& point) { return matches(point, wanted); });
      if (sweep_.points.size() == before && before > 0)
        errors_.add(io::place_of(*row, file_) + ": this [[exclude]] matches no trial");
      if (sweep_.points.empty() && before > 0) errors_.add(io::place_of(*row, file_) + ": [[exclude]] leaves no trial");
    }
  }

  void objective() {
    sweep_.rules.objective.place = file_;
    const bool held_out = base_["data"]["validation_rows"].value<int64_t>().value_or(0) > 0;
    sweep_.rules.objective.metric = held_out ? "val/total" : "total";
    const Table table = top_.table("objective");
    if (table == nullptr) return;
    io::TomlReader reader(*table, file_, "[objective]", errors_);
    reader.require("metric");
    sweep_.rules.objective.metric = reader.string("metric").value_or("total");
    sweep_.rules.objective.place = reader.place("metric");
    sweep_.has_objective = true;
    sweep_.rules.objective.maximize = choice(reader, "goal", {"minimize", "maximize"}) == "maximize";
    reader.finish();
  }

  void stop() {
    const Table table = top_.table("stop");
    if (table == nullptr) return;
    io::TomlReader reader(*table, file_, "[stop]", errors_);
    StopRule& stop = sweep_.rules.stop;
    reader.require("use");
    reader.require("min_steps");
    stop.place = reader.place("use");
    stop.use = choice(reader, "use", {"asha", "median"});
    stop.min_steps = integer(reader, "min_steps", 1, int64_t{1} << 40, 1);
    if (stop.use == "asha") stop.reduction = number(reader, "reduction", 1.1, 1000, 3);
    if (stop.use == "median") stop.min_trials = integer(reader, "min_trials", 1, 1000000, 3);
    if (sweep_.rules.objective.metric.rfind("val/", 0) != 0)
      reader.fault("use", fmt::format("trials are stopped by held-out numbers, and the [objective] is '{}'; give one of val/…",
                                      printable(sweep_.rules.objective.metric)));
    if (stop.use == "asha" && !sweep_.search.program.empty())
      reader.fault("use", "asha ranks trials that are known beforehand, and a 'search' chooses them one by one; give \"median\"");
    reader.finish();
  }

  void workers() {
    const Table table = top_.table("workers");
    if (table == nullptr) return;
    io::TomlReader reader(*table, file_, "[workers]", errors_);
    WorkerRules& workers = sweep_.rules.workers;
    workers.retries = integer(reader, "retries", 0, 1000, 2);
    workers.on_failure = choice(reader, "on_failure", {"keep-going", "fail-fast"});
    if (reader.has("max_failures")) workers.max_failures = integer(reader, "max_failures", 0, 1000000, 0);
    workers.stall_after_s = number(reader, "stall_after", 1, 1e6, 600);
    workers.keep_checkpoints = reader.boolean("keep_checkpoints").value_or(false);
    workers.reports = reader.boolean("reports").value_or(true);
    reader.finish();
  }

  void share() {
    const Table table = top_.table("share");
    if (table == nullptr) return;
    io::TomlReader reader(*table, file_, "[share]", errors_);
    sweep_.rules.share.teacher_values = choice(reader, "teacher_values", {"off", "f32", "f16"});
    sweep_.rules.share.limit_gib = number(reader, "limit_gib", 1e-6, 1e6, sweep_.rules.share.limit_gib);
    reader.finish();
  }

  SweepFile& sweep_;
  ErrorList& errors_;
  std::string file_;
  io::TomlReader top_;
  toml::table base_;  // the base recipe
};

}  // namespace

SweepFile read_sweep_file(const fs::path& file, ErrorList& errors) {
  SweepFile sweep;
  sweep.file = file;
  sweep.text = read_text(file);
  const toml::table root = io::parse_toml(sweep.text, file.string());
  Reader(sweep, root, errors).run();
  return sweep;
}

}  // namespace espalier::sweep
