#pragma once
// The objective by each thing that varies.

#include <string>

#include "core/report/sweep_facts.h"

namespace espalier::report {

/// HTML of the section: mean ± sample deviation of the complete trials with each value, drawn on one scale.
std::string axes_section(const SweepFacts& facts);

/// HTML of the section that the script draws parallel coordinates in; none when nothing varies or no trial has an objective.
std::string parallel_section(const SweepFacts& facts);

}  // namespace espalier::report
