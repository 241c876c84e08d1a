#pragma once
// A pruner that is any program: docs/exec-pruner.md is the protocol.

#include <filesystem>
#include <memory>
#include <string>

#include "core/prune/strategy.h"

namespace espalier::prune {

/// `program` is executable. `params`: a JSON object, passed on as it is. It is started once for each question, is told everything
/// in one line of JSON, may ask for scores of units, and ends with its rows. What it asks and gives is checked as a plugin's is.
/// Errors of `next`: UserError when it cannot be started, dies (with the last line that it wrote to stderr), says what is no
/// answer, or refuses the model; Interrupted.
std::unique_ptr<PruneStrategy> exec_strategy(const std::filesystem::path& program, const std::string& params);

}  // namespace espalier::prune
