#pragma once
// The --backend option of run, inspect --explain and diff.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "core/cli/commands.h"
#include "core/lower/backend.h"

namespace espalier::cli {

/// Opens the backend called `name` ("cpu", or a component's whole id). `sets`: its parameters as "k=v", the rest have
/// their defaults; `device`: a name or an index, empty for the first. "reference" is the built-in interpreter of core/ops: null,
/// and has neither.
/// Errors: UserError with the nearest names and the places searched when there is none; one for every fault of `sets`.
std::shared_ptr<lower::Backend> choose_backend(const CommandContext& context, const std::string& name,
                                               const std::vector<std::string>& sets = {}, const std::string& device = {});
/// Adds --device to `command`.
void add_device(CLI::App* command, std::string& device);

}  // namespace espalier::cli
