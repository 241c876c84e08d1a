#pragma once
// Every trial of a sweep as a row.

#include <string>

#include "core/report/sweep_facts.h"

namespace espalier::report {

/// HTML of the section: best first, to be sorted otherwise by the page's script.
std::string table_section(const SweepFacts& facts);

}  // namespace espalier::report
