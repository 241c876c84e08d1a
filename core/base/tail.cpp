#include "core/base/tail.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <vector>

#include "core/base/text.h"

namespace espalier {
namespace {

constexpr size_t kTail = 1 << 13;  // bytes of a log in which its last line is looked for

}  // namespace

std::string tail_of(const std::filesystem::path& file, size_t bytes) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  if (!in) return "";
  const auto size = static_cast<size_t>(in.tellg());
  in.seekg(static_cast<std::streamoff>(size > bytes ? size - bytes : 0));
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string last_line_of(const std::filesystem::path& log, uint64_t from) {
  std::error_code fault;
  const uint64_t size = std::filesystem::file_size(log, fault);
  if (fault || size <= from) return "";
  std::vector<std::string> lines = split(tail_of(log, std::min<size_t>(kTail, size - from)), '\n');
  std::erase(lines, "");
  return lines.empty() ? "" : printable(lines.back(), 300);
}

}  // namespace espalier
