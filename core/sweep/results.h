#pragma once
// What came out of a sweep, for tables and pages.

#include <string>
#include <vector>

#include "core/sweep/scan.h"

namespace espalier::sweep {

/// One trial as a row. `outcome.state` is complete, pruned or failed, or of one that is not done: running, begun or waiting; its
/// numbers are then those so far.
struct TrialResult {
  Trial trial;
  Outcome outcome;
};

struct Results {
  std::filesystem::path folder;
  std::string sweep_text;
  Rules rules;
  std::vector<TrialResult> trials;  // in the sweep file's order
};
Results collect(const Store& store);

/// The objective of a row; nothing when it has none.
std::optional<double> objective_of(const TrialResult& result, const Rules& rules);

/// What a row's numbers are shown as: the newest of each metric, with those of single features summed up as "features" and
/// "val/features".
train::NamedNumbers shown_values(const Outcome& outcome);

/// Trials that differ in their seed alone, in the order of their first ones: indices into `trials`.
std::vector<std::vector<size_t>> repeats_of(const std::vector<TrialResult>& trials);

struct Spread {
  double mean = 0, deviation = 0;  // the latter of the sample; 0 of one value
  size_t count = 0;
};
Spread spread_of(const std::vector<double>& values);

/// Writes DIR/trials.csv (RFC 4180: a column for each setting and each shown value) and DIR/trials.jsonl.
void write_tables(const Results& results);

/// The rows by objective, best first, repeats together as mean ± deviation, for a terminal.
std::string summary_table(const Results& results);

}  // namespace espalier::sweep
