#pragma once
// Which plugins may be loaded, by content: what `plugin lock` writes.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace espalier::plugins {

/// A lock file: SHA-256 of each plugin → "id version". Errors: UserError for a file that is none.
class Lock {
 public:
  explicit Lock(const std::filesystem::path& file);
  /// Why `plugin` may not be loaded; "" when its content is in the lock.
  std::string fault(const std::filesystem::path& plugin) const;

 private:
  std::filesystem::path file_;
  std::map<std::string, std::string> known_;
};

}  // namespace espalier::plugins
