#pragma once
// The loss curves of many trials over one another.

#include <string>

#include "core/report/sweep_facts.h"

namespace espalier::report {

/// Of at most 60 trials, best first, each thinned to about 200 points; without the losses of single features. A trial whose
/// metrics cannot be read is named in `notes`.
SweepCurves read_sweep_curves(const SweepFacts& facts);

/// JSON of the page's script: {"objective", "maximize", "trials", "axes", "lines"}. No text of it ends a script element.
std::string sweep_json(const SweepFacts& facts);

std::string curves_section(const SweepFacts& facts);

}  // namespace espalier::report
