#pragma once
// The end of a text file that may be growing.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace espalier {

/// The last `bytes` of a file, "" where there is none. Cost: reads no more than that.
std::string tail_of(const std::filesystem::path& file, size_t bytes);

/// The last line of a log that is not empty, safe to print, at most 300 bytes; nothing before byte `from` counts. "" without one.
std::string last_line_of(const std::filesystem::path& log, uint64_t from = 0);

}  // namespace espalier
