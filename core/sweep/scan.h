#pragma once
// How every trial of a sweep stands, read from its folder.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/sweep/choose.h"
#include "core/sweep/store.h"

namespace espalier::sweep {

/// What metrics.jsonl says of a run so far.
struct RunNumbers {
  int64_t steps = 0;           // training rows
  Curve curve;                 // of one metric
  train::NamedNumbers values;  // the newest of each key
};
/// Of a file that may be growing: a line without its line feed is left out. Nothing where there is no file.
RunNumbers read_run_numbers(const std::filesystem::path& metrics, const std::string& metric);

/// Prefixes that at least two trials have: what is worth handing on.
std::set<std::string> common_prefixes(const std::vector<Trial>& trials);

class Scanner {
 public:
  Scanner(const Store& store, const std::vector<Trial>& trials, const Rules& rules);

  /// Reads again what can have changed; `trials` may have grown. `taken`: trials that count as claimed, with the prefixes that
  /// they will hold, before whoever was started for them has got there. Cost: one file open for each trial that is not settled,
  /// with a stop rule its metrics too.
  const std::vector<TrialState>& look(const std::set<size_t>& taken = {});
  const std::vector<TrialState>& states() const { return states_; }
  const std::optional<Outcome>& outcome(size_t index) const { return outcomes_[index]; }

  /// Prefixes that trial `index` would have to train and hand on from where it stands.
  std::vector<std::string> prefixes_to_make(size_t index) const;

 private:
  void read_curve(size_t index);

  const Store& store_;
  const std::vector<Trial>& trials_;
  const Rules& rules_;
  std::set<std::string> common_;
  std::map<size_t, uintmax_t> metrics_bytes_;  // of what the curves were read from
  std::vector<TrialState> states_;
  std::vector<std::optional<Outcome>> outcomes_;
};

}  // namespace espalier::sweep
