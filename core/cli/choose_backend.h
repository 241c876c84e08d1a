#pragma once
// The --backend option of run, inspect --explain and diff.

#include <memory>
#include <string>

#include "core/cli/commands.h"
#include "core/lower/backend.h"

namespace espalier::cli {

/// Opens the backend called `name` ("cpu", or a component's whole id), with its defaults. "reference" is the built-in
/// interpreter of core/ops: null.
/// Errors: UserError with the nearest names and the places searched when there is none.
std::shared_ptr<lower::Backend> choose_backend(const CommandContext& context, const std::string& name);

}  // namespace espalier::cli
