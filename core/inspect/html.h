#pragma once
// A summary as one page for a browser: no script or style from elsewhere, works from a file.

#include <filesystem>
#include <string>
#include <string_view>

#include "core/inspect/summary.h"

namespace espalier::inspect {

/// The page: totals, loader verdicts, a strip of the stages, the tree of blocks with bars, the table of all blocks.
std::string to_html(const ModelSummary& summary, const std::string& title);

/// Writes `to_html` to `file`, whole or not at all. Errors: UserError when the file cannot be written.
void write_html(const ModelSummary& summary, const std::string& title, const std::filesystem::path& file);

/// The page around the data: `@TITLE@` and `@DATA@` (a JSON object) are filled in.
extern const std::string_view kPageTemplate;

}  // namespace espalier::inspect
