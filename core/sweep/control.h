#pragma once
// Looking after a sweep: starts workers, ends those that stall, keeps the tables up to date.

#include <functional>
#include <string>
#include <vector>

#include "core/base/child.h"
#include "core/sweep/launch.h"
#include "core/sweep/results.h"

namespace espalier::sweep {

struct ControlOptions {
  int64_t jobs = 1;
  /// The command line of a worker for a trial; `slot`, below `jobs`, is free.
  std::function<std::vector<std::string>(const Trial&, int64_t slot)> worker;
  Signals signals = Signals::kChild;  // kGroup where what `worker` names starts others
  Elsewhere* elsewhere = nullptr;     // runs the trials in place of `worker`, where given
  std::function<void(const std::string&)> say;
  std::function<void(const Results&)> report;  // writes DIR/report.html, less often than tables; empty: none
};

struct SweepEnd {
  int64_t complete = 0, pruned = 0, failed = 0, left = 0;
  bool stopped = false;  // by on_failure or max_failures
};

/// Runs until every trial is complete, pruned or failed, or until too many have failed. Workers are children that end with this
/// process; another process with the same folder only waits for trials that it does not run itself. With `elsewhere` this process
/// only looks on: it ends with trials left when the queue has.
/// Errors: UserError when another process looks after the folder; Interrupted, after the workers have written their checkpoints.
SweepEnd control(const Store& store, const std::vector<Trial>& trials, const Rules& rules, const ControlOptions& options);

}  // namespace espalier::sweep
