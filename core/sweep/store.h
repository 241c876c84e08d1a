#pragma once
// A sweep's folder. The file system is the store: a lock that dies with its holder, and marks that appear whole.
//
//   DIR/sweep.toml              the sweep file as it was begun, or extended, with
//   DIR/list.jsonl              every trial with its resolved recipe
//   DIR/search.json             of a search: what it may choose from, and its base recipe
//   DIR/rules.json              how trials are judged and run
//   DIR/inputs.json             fingerprints of the models and data that they name
//   DIR/trials/<id>/            a run folder
//   DIR/state/<id>.claim        held by whoever runs the trial; a JSON line for each start and end; its time is a sign of life
//   DIR/state/<id>.done         its outcome, once
//   DIR/state/<id>.log          what its runs said
//   DIR/state/search.log        what the program of a search said
//   DIR/shared/<prefix>/        the state after stages that several trials have in common
//   DIR/shared/teacher/         what the teacher made of batches that several trials see
//   DIR/{trials.csv,trials.jsonl,report.html}

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/lock_file.h"
#include "core/sweep/trial.h"
#include "core/train/metrics.h"

namespace espalier::sweep {

/// How a trial came to its end.
struct Outcome {
  std::string state;       // complete | pruned | failed
  std::string cause;       // pruned, failed: why
  int64_t steps = 0;       // made
  int64_t parameters = 0;  // of the student
  double seconds = 0;      // of work, those of broken attempts not counted
  train::NamedNumbers values;
  int64_t starts = 0, failures = 0;
};

/// What a claim's lines say.
struct History {
  int64_t starts = 0;
  int64_t failures = 0;   // ends with a cause: failed, stalled
  std::string cause;      // of the last of them
  std::string last_end;   // how the last attempt ended; empty while it has not
  int64_t killed = 0;     // ends "killed" in a row of attempts that came no further than the one before
  double seconds = 0;     // of attempts that ended
  std::string last_from;  // where the last start stood
};

class Store {
 public:
  explicit Store(std::filesystem::path folder) : folder_(std::move(folder)) {}
  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path trial(std::string_view id) const { return folder_ / "trials" / id; }
  std::filesystem::path log(std::string_view id) const { return state(id, ".log"); }
  std::filesystem::path shared(std::string_view prefix) const { return folder_ / "shared" / prefix; }
  std::filesystem::path teacher_values() const { return shared("teacher"); }

  bool exists() const;
  /// Makes the folder with `text`, `rules` and `trials`, whole or not at all.
  void create(const std::string& text, const Rules& rules, const std::vector<Trial>& trials) const;
  /// Replaces them. Marks of trials that are there stay.
  void extend(const std::string& text, const Rules& rules, const std::vector<Trial>& trials) const;
  /// Replaces the list alone, whole or not at all. Only while the folder is held.
  void write_list(const std::vector<Trial>& trials) const;
  std::string sweep_text() const;
  Rules rules() const;
  /// What lay at the paths that the trials name when the sweep was begun: path → fingerprint. Empty where nothing is known.
  std::map<std::string, std::string> inputs() const;
  void write_inputs(const std::map<std::string, std::string>& inputs) const;
  /// Errors: UserError when it is no sweep's folder.
  std::vector<Trial> trials() const;

  /// The right to run a trial. Nothing while another has it, or once the trial is done.
  std::optional<LockFile> claim(std::string_view id) const;
  bool claimed(std::string_view id) const;
  /// When the holder of the claim last gave a sign of life, as the file system has it; 0 where nobody ever claimed it.
  int64_t last_sign_ns(std::string_view id) const;
  /// The right to train what several trials have in common. Nothing while another does.
  std::optional<LockFile> claim_shared(std::string_view prefix) const;
  /// Held while one process looks after the sweep. Nothing while another does.
  std::optional<LockFile> hold() const;

  std::optional<Outcome> outcome(std::string_view id) const;
  /// Only while the trial is claimed. Guarantees: whole or not at all.
  void finish(std::string_view id, const Outcome& outcome) const;
  /// Takes an outcome back: the trial goes on. Nothing when another process has the trial.
  void reopen(std::string_view id) const;
  /// The same, and the history of its attempts.
  void forget(std::string_view id) const;

  /// Where a trial's run stands: the name of its newest checkpoint, "" without one.
  std::string standing(std::string_view id) const;

 private:
  std::filesystem::path state(std::string_view id, const char* suffix) const;
  std::filesystem::path folder_;
};

/// Lines of a claim.
std::string start_line(const std::string& from);
/// `how`: done | failed | stalled | halted | stopped | no-space | killed. A worker that is killed cannot say so: whoever started
/// it does. A start without an end is one that nobody saw end, as when all of a sweep is killed at once, and counts for nothing.
std::string end_line(const std::string& how, const std::string& cause, double seconds);
History read_history(const std::string& claim_text);

}  // namespace espalier::sweep
