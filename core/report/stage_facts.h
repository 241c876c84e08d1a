#pragma once
// What each stage of a run took out, in block paths of the base.

#include <map>
#include <string>
#include <vector>

#include "core/report/facts.h"
#include "core/train/write_run.h"

namespace espalier::report {

/// Every attempt at every stage, in order: the run's history replayed on its base.
/// Errors: InternalError when the replay does not end at the run's student.
std::vector<StageFacts> stage_facts(const train::FinishedRun& run);

/// Block path of the base → the stage that took it, -1 for what was gone before the run.
std::map<std::string, int64_t> removed_blocks(const train::FinishedRun& run, const std::vector<StageFacts>& stages);

int64_t parameters_of(const model::BlockTree& tree);

}  // namespace espalier::report
