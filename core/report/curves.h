#pragma once
// The loss curves: their data for the page's script, and the table of every term.

#include <string>

#include "core/report/facts.h"

namespace espalier::report {

/// JSON object {"window", "training", "held_out", "stages"}: what the script draws. No text of it ends a script element.
std::string curves_json(const Facts& facts);

/// HTML of the section: controls, the places that the script fills, the table of every term.
std::string curves_section(const Facts& facts);

}  // namespace espalier::report
