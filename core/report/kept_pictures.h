#pragma once
// The pictures of a run's report as files, for pages that lay several runs side by side.
//
//   RUN/pictures/captions.json    what was drawn, and how; or why nothing was
//   RUN/pictures/<column>-<k>.png  k counts the captions from 0

#include <filesystem>
#include <optional>
#include <string>

#include "core/report/facts.h"

namespace espalier::report {

/// "student, EMA" → "student-ema". "the data" is "data".
std::string slug_of(const std::string& column);

/// Replaces what is there. Guarantees: the folder is whole or absent, never a mixture. Errors: UserError of the file system.
void keep_pictures(const PictureFacts& pictures, const std::filesystem::path& run);

/// What keep_pictures wrote; nothing where it never did.
/// Errors: UserError when a file is missing, too large, or another text.
std::optional<PictureFacts> read_kept_pictures(const std::filesystem::path& run);

}  // namespace espalier::report
