#pragma once
#include <iosfwd>

#include "core/train/recipe.h"
#include "core/train/services.h"

namespace espalier::train {

/// Prints what a run would be, and changes nothing: data found, stages with plans and loader verdicts, disk, memory by part, and,
/// where that fits, time for each step and peak memory as two real steps show them.
/// Errors: everything that the run itself would refuse at its start.
void dry_run(const Recipe& recipe, const Services& services, std::ostream& out);

}  // namespace espalier::train
