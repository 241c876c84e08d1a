// The logger is the only global mutable state of the house. Levels are atomics, so that asking costs one load.

#include "core/base/log.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/text.h"

namespace espalier::log {
namespace {

const std::vector<std::string> kCategories = {"import", "pass", "plan", "dispatch", "exec", "plugin", "mem"};
const std::vector<std::string> kLevels = {"error", "warning", "info", "debug"};
constexpr int kWarningLevel = 1, kInfoLevel = 2;

std::array<std::atomic<int>, 7> g_levels{kWarningLevel, kWarningLevel, kWarningLevel, kWarningLevel,
                                         kWarningLevel, kWarningLevel, kWarningLevel};
std::atomic<bool> g_quiet{false};

size_t index_of(const std::vector<std::string>& names, std::string_view name) {
  size_t i = 0;
  while (i < names.size() && names[i] != name) ++i;
  return i;
}

}  // namespace

void configure(std::string_view spec, int verbosity) {
  for (auto& level : g_levels) level = std::min(kWarningLevel + verbosity, 3);
  g_quiet = verbosity < 0;
  if (spec.empty()) return;
  ErrorList errors;
  for (const std::string& entry : split(spec, ',')) {
    const size_t colon = entry.find(':');
    const std::string category = entry.substr(0, colon);
    const std::string level_name = colon == std::string::npos ? kLevels[kInfoLevel] : entry.substr(colon + 1);
    const size_t level = index_of(kLevels, level_name), at = index_of(kCategories, category);
    if (level == kLevels.size())
      errors.add("[ESPALIER_LOG] unknown level '" + printable(level_name) + "'; levels are " + join(kLevels, " "));
    if (at == kCategories.size() && category != "all")
      errors.add("[ESPALIER_LOG] unknown category '" + printable(category) + "'; categories are all " + join(kCategories, " "));
    for (size_t i = 0; i < g_levels.size(); ++i)
      if (i == at || category == "all") g_levels[i] = static_cast<int>(level);
  }
  errors.throw_if_any();
}

void configure_from_environment(int verbosity) {
  const char* spec = std::getenv("ESPALIER_LOG");
  configure(spec == nullptr ? "" : spec, verbosity);
}

bool enabled(Category category, Level level) {
  return static_cast<int>(level) <= g_levels[static_cast<size_t>(category)].load(std::memory_order_relaxed);
}

void write(Category category, Level level, std::string_view text) {
  if (!enabled(category, level)) return;
  std::string line =
      "espalier [" + kCategories[static_cast<size_t>(category)] + "] " + kLevels[static_cast<size_t>(level)] + ": ";
  line += text;
  line += '\n';
  // One system call per line, so that lines of threads and of other processes never mix.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

bool quiet() { return g_quiet; }

}  // namespace espalier::log
