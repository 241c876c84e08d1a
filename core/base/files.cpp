#include "core/base/files.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <random>
#include <utility>

#include "core/base/error.h"
#include "core/base/text.h"

// Order of a publication: data, fsync of the data, rename, fsync of the folder that holds the name. A failed fsync is never
// tried again (the kernel may have dropped the dirty pages): the output is given up.

namespace espalier {
namespace fs = std::filesystem;
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

[[noreturn]] void system_error(const fs::path& path, std::string_view doing, int error) {
  throw UserError(path.string() + ": " + std::string(doing) + ": " + std::strerror(error));
}

struct Descriptor {
  explicit Descriptor(int fd) : fd(fd) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int fd;
};

void sync_path(const fs::path& path, bool folder) {
  const Descriptor handle(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (folder ? O_DIRECTORY : 0)));
  if (handle.fd < 0) system_error(path, "cannot open to flush to disk", errno);
  if (::fsync(handle.fd) != 0) {
    const int error = errno;
    if (folder && (error == EINVAL || error == EROFS)) return;  // file systems without folder fsync
    system_error(path, "cannot flush to disk", error);
  }
}

fs::path parent_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

// "out/" names the folder "out".
fs::path without_trailing_slash(fs::path path) {
  while (!path.has_filename() && path.has_parent_path() && path != path.root_path()) path = path.parent_path();
  return path;
}

std::vector<fs::path> make_parents(const fs::path& target) {
  std::vector<fs::path> missing;
  std::error_code ignored;
  for (fs::path folder = parent_of(target); !folder.empty() && !fs::exists(fs::symlink_status(folder, ignored));
       folder = parent_of(folder))
    missing.insert(missing.begin(), folder);
  std::vector<fs::path> made;
  for (const fs::path& folder : missing) {
    if (::mkdir(folder.c_str(), 0777) == 0) {
      made.push_back(folder);
    } else if (errno != EEXIST) {
      const int error = errno;
      for (size_t i = made.size(); i-- > 0;) ::rmdir(made[i].c_str());
      system_error(folder, "cannot make the folder", error);
    }
  }
  return made;
}

void unmake(const std::vector<fs::path>& made) {
  for (size_t i = made.size(); i-- > 0;) ::rmdir(made[i].c_str());
}

std::string temp_prefix(const fs::path& target) { return "." + target.filename().string() + ".tmp-"; }

fs::path temp_name(const fs::path& target) {
  std::random_device entropy;
  char suffix[48];
  std::snprintf(suffix, sizeof suffix, "%ld-%08x", static_cast<long>(::getpid()), static_cast<unsigned>(entropy()));
  return parent_of(target) / (temp_prefix(target) + suffix);
}

// Temporaries of this target whose writer is no longer alive.
void remove_leftovers(const fs::path& target) {
  const std::string prefix = temp_prefix(target);
  std::error_code error;
  for (fs::directory_iterator entry(parent_of(target), error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.compare(0, prefix.size(), prefix) != 0) continue;
    long pid = 0;
    const char* last = name.data() + name.size();
    const auto [stop, fault] = std::from_chars(name.data() + prefix.size(), last, pid);
    if (fault != std::errc() || stop == last || *stop != '-' || pid <= 0) continue;
    std::error_code ignored;
    if (::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) fs::remove_all(entry->path(), ignored);
  }
}

void sync_tree(const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.is_symlink()) continue;
    if (entry.is_directory())
      sync_tree(entry.path());
    else if (entry.is_regular_file())
      sync_path(entry.path(), false);
  }
  sync_path(folder, true);
}

}  // namespace

std::string read_text(const fs::path& file, uint64_t limit_bytes) {
  const Descriptor handle(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (handle.fd < 0) system_error(file, "cannot open", errno);
  struct stat info {};
  if (::fstat(handle.fd, &info) != 0) system_error(file, "cannot read", errno);
  if (S_ISDIR(info.st_mode)) throw UserError(file.string() + ": is a folder, a file is needed");
  if (!S_ISREG(info.st_mode)) throw UserError(file.string() + ": is not a regular file");
  const auto size = static_cast<uint64_t>(info.st_size);
  if (size > limit_bytes)
    throw UserError(file.string() + ": has " + human_bytes(size) + ", the limit for such a file is " + human_bytes(limit_bytes));
  std::string text(size, '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t got = ::read(handle.fd, text.data() + done, text.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) system_error(file, "cannot read", errno);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  text.resize(done);
  return text;
}

void write_text(const fs::path& file, std::string_view text) {
  AtomicFile out(file, Existing::kReplace, text.size());
  out.write(text);
  out.publish();
}

void require_free_space(const fs::path& folder, uint64_t need_bytes) {
  struct statvfs volume {};
  if (::statvfs(folder.c_str(), &volume) != 0) return;  // the write itself will say what is wrong
  const uint64_t free_bytes = static_cast<uint64_t>(volume.f_bavail) * volume.f_frsize;
  if (free_bytes < need_bytes)
    throw NoSpaceError(folder.string() + ": not enough space on this volume: need " + human_bytes(need_bytes) + ", free " +
                       human_bytes(free_bytes));
}

AtomicFile::AtomicFile(fs::path target, Existing existing, uint64_t need_bytes)
    : target_(std::move(target)), existing_(existing) {
  if (!target_.has_filename()) throw UserError(target_.string() + ": a file name is needed here");
  std::error_code ignored;
  const fs::file_status status = fs::symlink_status(target_, ignored);
  if (fs::is_directory(status)) throw UserError(target_.string() + ": is a folder, a file name is needed here");
  if (fs::exists(status) && existing_ == Existing::kRefuse)
    throw UserError(target_.string() + " exists; choose another or remove it");
  if (fs::exists(status) && !fs::is_regular_file(status) && !fs::is_symlink(status))
    throw UserError(target_.string() + ": is not a regular file; choose another name");
  made_ = make_parents(target_);
  try {
    require_free_space(parent_of(target_), need_bytes);
    remove_leftovers(target_);
    temp_ = temp_name(target_);
    fd_ = ::open(temp_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd_ < 0) system_error(target_, "cannot create", errno);
    buffer_.reserve(kBufferBytes);
  } catch (...) {
    unmake(made_);
    throw;
  }
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (published_) return;
  ::unlink(temp_.c_str());
  unmake(made_);
}

void AtomicFile::flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t put = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) system_error(target_, "cannot write after " + human_bytes(written_ - buffer_.size() + done), errno);
    done += static_cast<size_t>(put);
  }
  buffer_.clear();
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  ESP_CHECK(fd_ >= 0);
  while (!bytes.empty()) {
    const size_t part = std::min(bytes.size(), kBufferBytes - buffer_.size());
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(part));
    written_ += part;
    bytes = bytes.subspan(part);
    if (buffer_.size() == kBufferBytes) flush();
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

void AtomicFile::publish() {
  ESP_CHECK(fd_ >= 0 && !published_);
  flush();
  if (::fsync(fd_) != 0) system_error(target_, "cannot flush to disk", errno);
  if (::close(std::exchange(fd_, -1)) != 0) system_error(target_, "cannot close", errno);
  if (existing_ == Existing::kRefuse) {  // link fails where rename would replace what appeared meanwhile
    if (::link(temp_.c_str(), target_.c_str()) != 0) {
      if (errno == EEXIST) throw UserError(target_.string() + " exists; choose another or remove it");
      if (::rename(temp_.c_str(), target_.c_str()) != 0) system_error(target_, "cannot rename to it", errno);
    } else {
      ::unlink(temp_.c_str());
    }
  } else if (::rename(temp_.c_str(), target_.c_str()) != 0) {
    system_error(target_, "cannot rename to it", errno);
  }
  published_ = true;
  sync_path(parent_of(target_), true);
  for (size_t i = made_.size(); i-- > 0;) sync_path(parent_of(made_[i]), true);
}

AtomicFolder::AtomicFolder(fs::path target, uint64_t need_bytes) : target_(without_trailing_slash(std::move(target))) {
  if (!target_.has_filename()) throw UserError(target_.string() + ": a folder name is needed here");
  std::error_code ignored;
  const fs::file_status status = fs::symlink_status(target_, ignored);
  if (fs::exists(status) && !(fs::is_directory(status) && fs::is_empty(target_, ignored)))
    throw UserError(target_.string() + " exists; choose another or remove it");
  made_ = make_parents(target_);
  try {
    require_free_space(parent_of(target_), need_bytes);
    remove_leftovers(target_);
    staging_ = temp_name(target_);
    if (::mkdir(staging_.c_str(), 0777) != 0) system_error(target_, "cannot create", errno);
  } catch (...) {
    unmake(made_);
    throw;
  }
}

AtomicFolder::~AtomicFolder() {
  if (published_) return;
  std::error_code ignored;
  fs::remove_all(staging_, ignored);
  unmake(made_);
}

void AtomicFolder::publish() {
  ESP_CHECK(!published_);
  sync_tree(staging_);
  if (::rename(staging_.c_str(), target_.c_str()) != 0) {  // replaces an empty folder, nothing else
    const int error = errno;
    if (error == ENOTEMPTY || error == EEXIST || error == ENOTDIR)
      throw UserError(target_.string() + " exists; choose another or remove it");
    system_error(target_, "cannot rename to it", error);
  }
  published_ = true;
  sync_path(parent_of(target_), true);
  for (size_t i = made_.size(); i-- > 0;) sync_path(parent_of(made_[i]), true);
}

}  // namespace espalier
