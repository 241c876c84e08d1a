#pragma once
// Which trial is next, and how far it may go. Pure functions of what is known of all trials.

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/sweep/sweep_file.h"

namespace espalier::sweep {

/// The objective after some steps, in the order of steps.
using Curve = std::vector<std::pair<int64_t, double>>;

struct TrialState {
  bool settled = false;  // complete or failed, or pruned for good
  bool failed = false;   // settled so: it competes with nobody
  bool claimed = false;  // somebody runs it
  bool begun = false;    // its folder is there
  int64_t planned_steps = 0;
  Curve curve;
};

inline constexpr int64_t kToTheEnd = std::numeric_limits<int64_t>::max();

/// Indices of the trials that may be run now, best first: those that stand furthest, then those that were begun, then the file's
/// order. Under asha, those whose next rung is theirs to go to.
std::vector<size_t> candidates(const std::vector<TrialState>& trials, const StopRule& stop, const Objective& objective);

/// How many steps trial `index` may make: it is asked at each validation, and at less than the answer goes on.
/// `why`, where given, gets the reason when the trial has come that far.
int64_t may_reach(size_t index, const std::vector<TrialState>& trials, const StopRule& stop, const Objective& objective,
                  std::string* why = nullptr);

/// Steps of asha's rungs below `planned`.
std::vector<int64_t> rungs(const StopRule& stop, int64_t planned);

}  // namespace espalier::sweep
