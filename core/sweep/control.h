#pragma once
// Looking after a sweep: starts workers, ends those that stall, keeps the tables up to date.

#include <functional>
#include <string>
#include <vector>

#include "core/base/child.h"
#include "core/sweep/launch.h"
#include "core/sweep/results.h"

namespace espalier::sweep {

/// A trial that is to be run. `fault`, not empty: why it cannot be; it then counts as failed, and its recipe is empty.
struct AskedTrial {
  Trial trial;
  std::string fault;
};

/// Where trials come from that are not known beforehand. Nothing of it waits.
class TrialSource {
 public:
  virtual ~TrialSource() = default;
  /// How many trials there are to be in all, those of earlier processes counted.
  virtual int64_t total() const = 0;
  virtual int64_t planned_steps() const = 0;  // of a trial, about
  /// Called first, with what is there already.
  virtual void begin(const std::vector<Trial>& trials, const std::vector<std::optional<Outcome>>& outcomes) = 0;
  /// The trial after those that are there. Nothing: not yet, or never, as `over` then says.
  virtual std::optional<AskedTrial> next() = 0;
  virtual bool over() const = 0;
  virtual bool failed() const = 0;  // over before `total` because something is wrong
  /// How trial `index` ended. Each trial that `begin` had no outcome of is told once.
  virtual void tell(size_t index, const Trial& trial, const Outcome& outcome) = 0;
};

struct ControlOptions {
  int64_t jobs = 1;
  /// The command line of a worker for a trial; `slot`, below `jobs`, is free.
  std::function<std::vector<std::string>(const Trial&, int64_t slot)> worker;
  Signals signals = Signals::kGroup;  // a terminal's Ctrl-C is this process's, which hands it on once
  Elsewhere* elsewhere = nullptr;     // runs the trials in place of `worker`, where given
  std::function<void(const std::string&)> say;
  std::function<void(const Results&)> report;  // writes DIR/report.html, less often than tables; empty: none
  TrialSource* source = nullptr;               // asked for a trial when a slot is free and none waits; not with `elsewhere`
};

struct SweepEnd {
  int64_t complete = 0, pruned = 0, failed = 0, left = 0;
  bool stopped = false;        // by on_failure or max_failures
  bool search_failed = false;  // its source is over before its time
};

/// Runs until every trial is complete, pruned or failed, or until too many have failed. Workers are children that end with this
/// process; another process with the same folder only waits for trials that it does not run itself. With a source, `trials` are
/// read again from the folder, and each new one is in its list before it starts. With `elsewhere` this process
/// only looks on: it ends with trials left when the queue has.
/// Errors: UserError when another process looks after the folder; Interrupted, after the workers have written their checkpoints.
SweepEnd control(const Store& store, const std::vector<Trial>& trials, const Rules& rules, const ControlOptions& options);

}  // namespace espalier::sweep
