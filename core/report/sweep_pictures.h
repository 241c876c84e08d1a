#pragma once
// The same captions drawn by the students of many trials.

#include <string>

#include "core/report/sweep_facts.h"

namespace espalier::report {

/// Of each setting the first trial, at most 24 settings and 3 MB, best first. What is left out is said in `notes`.
SweepPictures read_sweep_pictures(const SweepFacts& facts);

std::string pictures_section(const SweepFacts& facts);

}  // namespace espalier::report
