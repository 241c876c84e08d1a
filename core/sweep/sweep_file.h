#pragma once
// sweep.toml: a base recipe, what varies, and how the trials are run and judged. Read strictly, all faults at once.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/io/toml.h"

namespace espalier::sweep {

/// A value of a recipe path in one trial.
struct Setting {
  std::string path;                         // "train.optimizer.lr"
  std::shared_ptr<const toml::node> value;  // a copy, which does not know its place
  std::string text;                         // as TOML: 'espalier.prune.vega', [1, 2]
  std::string place;                        // file:line:column of the value
  std::vector<std::string> at = {};         // keys and indices to it in the sweep file; empty: it is drawn or counted
};

/// Some settings that go together.
struct Point {
  std::string name;  // of its [[list]] row; empty: none
  std::vector<Setting> settings;
};

/// A distribution of [random].
struct Distribution {
  std::string path;
  std::string kind;  // uniform | log_uniform | integer | choice
  double low = 0, high = 0;
  std::vector<std::shared_ptr<const toml::node>> choices;
  std::string place;
  std::vector<std::string> at;  // keys to it in the sweep file
};

/// What trials are compared by, and shown as: the last value of a run's metric.
struct Objective {
  std::string metric = "val/total";  // where the file names none: this with held-out rows, else "total"
  bool maximize = false;
  std::string place = {};  // in the sweep file
  bool better(double a, double b) const { return maximize ? a > b : a < b; }
};

/// When a trial goes no further than it is.
struct StopRule {
  std::string use = "none";  // none | asha | median
  int64_t min_steps = 0;     // asha: the first rung; median: none is stopped before
  double reduction = 3;      // asha: one of this many goes on from a rung, which is that much longer than the one before
  int64_t min_trials = 3;    // median: others that must have come as far
  std::string place = {};    // in the sweep file
};

struct WorkerRules {
  int64_t retries = 2;                    // after a failure
  std::string on_failure = "keep-going";  // or fail-fast
  std::optional<int64_t> max_failures;    // stop when more trials than this have failed
  double stall_after_s = 600;             // without a sign of life a worker is ended, and its trial taken up by another
  bool keep_checkpoints = false;          // of trials that are complete
  bool reports = true;                    // report.html and pictures of each trial
};

/// What trials leave for one another besides common stages: what the teacher made of each batch.
struct ShareRules {
  std::string teacher_values = "off";  // off | f32 | f16
  double limit_gib = 20;               // of the disk
  uint64_t limit_bytes() const { return static_cast<uint64_t>(limit_gib * static_cast<double>(uint64_t{1} << 30)); }
};

/// What whoever runs trials goes by. The rest of a sweep file says which trials there are.
struct Rules {
  Objective objective;
  StopRule stop;
  WorkerRules workers;
  ShareRules share;
};
std::string to_json(const Rules& rules);
/// Errors: UserError naming `place` for another text.
Rules rules_from_json(const std::string& text, const std::string& place);

/// `search = "exec:program"`: trials are asked for one by one.
struct Search {
  std::filesystem::path program;  // empty: none
  int64_t trials = 0;             // how many in all
  uint64_t seed = 0;
  double answer_within_s = 60;  // `search_timeout`: a program that takes longer is given up
};

struct SweepFile {
  std::filesystem::path file, base;
  std::string text, base_text;      // of both files
  std::vector<Point> points;        // without excluded ones, in the file's order; empty where `search` asks for them
  std::vector<Distribution> space;  // of [random]
  Rules rules;
  bool has_objective = false;  // of its own; else rules.objective is the default
  Search search;
};

/// Reads `file`. Trials are the cross product of [grid], [zip], [random] and the rows of [[list]], without those that an
/// [[exclude]] matches, each `repeats` times with seeds that count up from the base's.
///
/// Faults go to `errors`: unknown keys (nearest), wrong types, empty axes, unequal [zip], a path that two axes set, an
/// [[exclude]] that matches nothing. Errors: UserError at once for a file that cannot be read or is no TOML.
SweepFile read_sweep_file(const std::filesystem::path& file, ErrorList& errors);

/// The first draws of a distribution: the k-th is the same however many are drawn.
std::vector<Setting> draws(const Distribution& distribution, uint64_t seed, int64_t count);

/// A value on one line, as TOML.
std::string value_text(const toml::node& value);

}  // namespace espalier::sweep
