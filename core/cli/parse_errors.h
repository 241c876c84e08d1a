#pragma once
// CLI11's complaints in our words.

#include <CLI/CLI.hpp>

namespace espalier::cli {

/// Checks a parsed command line for what nobody asked for: an unknown command, an unknown option, a stray argument.
/// Errors: one UserError with every fault and the nearest known names.
void refuse_leftovers(const CLI::App& app);

/// Throws the UserError that says what CLI11's `error` means, together with every other fault of the line.
[[noreturn]] void throw_parse_error(const CLI::App& app, const CLI::ParseError& error);

}  // namespace espalier::cli
