#pragma once
// A file that one process holds at a time. The system frees it when the process dies, however it does.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace espalier {

/// Held from `try_hold` until it is destroyed. Never removed: a removed file could be held twice.
class LockFile {
 public:
  /// Creates the file where it is not there. Nothing when another process, or another LockFile of this one, holds it.
  /// Errors: UserError with the path and the system's reason.
  static std::optional<LockFile> try_hold(const std::filesystem::path& file);
  LockFile(LockFile&& other) noexcept;
  LockFile& operator=(LockFile&& other) noexcept;
  ~LockFile();

  std::string text() const;
  /// Adds a line. Guarantees: one that a killed process left without its line feed is ended first. Errors: UserError.
  void append(std::string_view line);
  /// Sets the time of the file's last change to now: a sign of life.
  void touch();

 private:
  LockFile(std::filesystem::path file, int fd) : file_(std::move(file)), fd_(fd) {}
  std::filesystem::path file_;
  int fd_ = -1;
};

/// Whether some process holds `file` now; false where it is not there.
bool is_held(const std::filesystem::path& file);

}  // namespace espalier
