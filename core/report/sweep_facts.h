#pragma once
// What the page of a sweep shows, as plain values.

#include <optional>
#include <string>
#include <vector>

#include "core/report/facts.h"
#include "core/sweep/results.h"

namespace espalier::report {

/// Something that differs between trials: a setting's path, or the name of the [[list]] row. Never the seed.
struct Axis {
  std::string path;                 // empty: the name
  std::string label;                // its last parts, as many as tell it from the others
  std::vector<Axis> with;           // what changes exactly when it does, or is told by the name
  std::vector<std::string> values;  // each once: numbers ascending, others in the sweep file's order
  std::vector<size_t> of;           // [trial] → index into values
  std::vector<double> numbers;      // of `values` when all are numbers, else empty
  bool log = false;                 // numbers that a log scale suits better
  bool numeric() const { return !numbers.empty(); }
};

/// Trials that differ in their seed alone.
struct SettingFacts {
  std::string label;
  std::vector<size_t> trials;
  sweep::Spread spread;  // of the objective over the complete ones
};

/// Pictures of one trial of a setting.
struct TrialPictures {
  size_t trial = 0;
  PictureColumn column;  // of the run's last student
};
struct SweepPictures {
  std::string why_none;
  std::string rows, settings;
  std::vector<std::string> captions;
  std::vector<PictureColumn> first;   // the data and the teacher
  std::vector<TrialPictures> trials;  // best first
  std::vector<std::string> notes;     // what is not shown, and why
};

/// One trial's metrics, thinned.
struct TrialCurves {
  size_t trial = 0;
  RunMetrics metrics;
  size_t window = 1;
};
struct SweepCurves {
  std::vector<TrialCurves> trials;
  std::vector<std::string> notes;
};

struct SweepFacts {
  sweep::Results results;
  std::string name;  // of the folder
  std::vector<Axis> axes;
  std::vector<std::string> labels;               // [trial] without the seed
  std::vector<std::string> seeds;                // [trial]; empty where it is the base's
  std::vector<std::optional<double>> objective;  // [trial] where it is finite
  std::vector<size_t> order;                     // trials best first: complete ones by objective, then the others by state
  std::vector<SettingFacts> settings;            // best first, those without a complete trial at the end
  std::vector<std::string> pages;                // [trial] "trials/ID/report.html", empty where there is none
  SweepPictures pictures;
  SweepCurves curves;

  bool complete(size_t trial) const { return results.trials[trial].outcome.state == "complete" && objective[trial].has_value(); }
};

/// All that follows from `results`; `pages`, `pictures` and `curves` are left empty.
SweepFacts sweep_facts(const sweep::Results& results);

/// The two best settings compared, in a sentence or two: the difference of their means against the pooled sample deviation.
std::string verdict(const SweepFacts& facts);

/// The page. Guarantees as those of a run's.
std::string to_html(const SweepFacts& facts);

}  // namespace espalier::report
