#pragma once
// Help texts: the overview, and one page per command with description, options, examples and exit codes.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "core/cli/commands.h"

namespace espalier::cli {

/// The formatter of every command's page.
std::shared_ptr<CLI::FormatterBase> help_formatter();
/// What `espalier` alone prints.
std::string overview(const CLI::App& app);
/// "Examples: … Exit codes: …" below the options.
std::string footer_of(const CommandHelp& help);
/// `text` broken at spaces to lines of at most `width` columns, each after `indent` spaces.
std::string wrapped(const std::string& text, size_t width, size_t indent);

}  // namespace espalier::cli
