#pragma once
// Files: bounded reading, and outputs that appear whole or not at all (temp beside the target, fsync, rename, fsync of
// the folder). What a killed process left behind is removed by the next writer of the same target.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"

namespace espalier {

/// The whole of a regular file. Errors: UserError when it is missing, not a regular file (no FIFO is ever waited for),
/// unreadable, or larger than `limit_bytes`.
std::string read_text(const std::filesystem::path& file, uint64_t limit_bytes = uint64_t{16} << 20);

/// Replaces or creates `file` with `text`, whole or not at all.
void write_text(const std::filesystem::path& file, std::string_view text);

enum class Existing { kReplace, kRefuse };

/// A volume has too little space: waiting or making room helps, another input does not.
class NoSpaceError : public UserError {
 public:
  using UserError::UserError;
};

/// Throws NoSpaceError "not enough space …: need X, free Y" unless the volume of `folder` has `need_bytes` for this user.
void require_free_space(const std::filesystem::path& folder, uint64_t need_bytes);

/// A file that is written in order and appears under its name only on `publish`.
///
/// Errors: UserError with the path, the system's reason and what was wanted. An object that is destroyed unpublished
/// leaves nothing, parents that it made included.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path target, Existing existing = Existing::kReplace, uint64_t need_bytes = 0);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  uint64_t written_bytes() const { return written_; }
  /// Flush, fsync, rename, fsync of the folder. Nothing may be written after it.
  void publish();
  const std::filesystem::path& target() const { return target_; }

 private:
  void flush();
  std::filesystem::path target_, temp_;
  Existing existing_;
  std::vector<std::filesystem::path> made_;  // parents that did not exist before, outermost first
  std::vector<std::byte> buffer_;
  uint64_t written_ = 0;
  int fd_ = -1;
  bool published_ = false;
};

/// A folder that is filled at `path()` and appears as `target` only on `publish`.
///
/// Errors: UserError "DIR exists; choose another or remove it" when the target is anything but absent or an empty folder.
class AtomicFolder {
 public:
  explicit AtomicFolder(std::filesystem::path target, uint64_t need_bytes = 0);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  /// Where to write until `publish`.
  const std::filesystem::path& path() const { return staging_; }
  const std::filesystem::path& target() const { return target_; }
  /// fsync of every file and folder inside, rename, fsync of the parent.
  void publish();

 private:
  std::filesystem::path target_, staging_;
  std::vector<std::filesystem::path> made_;
  bool published_ = false;
};

}  // namespace espalier
