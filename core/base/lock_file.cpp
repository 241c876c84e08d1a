#include "core/base/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/error.h"

namespace espalier {
namespace {

[[noreturn]] void fail(const std::filesystem::path& file, const char* what) {
  throw UserError("[" + file.string() + "] " + what + ": " + std::strerror(errno));
}

}  // namespace

std::optional<LockFile> LockFile::try_hold(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) fail(file, "cannot be opened");
  LockFile held(file, fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return held;
  if (errno != EWOULDBLOCK && errno != EINTR) fail(file, "cannot be locked; does its file system have locks");
  return std::nullopt;
}

LockFile::LockFile(LockFile&& other) noexcept : file_(std::move(other.file_)), fd_(std::exchange(other.fd_, -1)) {}

LockFile& LockFile::operator=(LockFile&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(fd_, other.fd_);
  return *this;
}

LockFile::~LockFile() {
  if (fd_ >= 0) ::close(fd_);  // the lock goes with it
}

std::string LockFile::text() const {
  std::string text;
  char buffer[1 << 14];
  for (;;) {
    const ssize_t got = ::pread(fd_, buffer, sizeof buffer, static_cast<off_t>(text.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(file_, "cannot be read");
    if (got == 0) return text;
    text.append(buffer, static_cast<size_t>(got));
  }
}

void LockFile::append(std::string_view line) {
  const std::string before = text();
  std::string bytes = before.empty() || before.back() == '\n' ? "" : "\n";
  bytes += line;
  bytes += '\n';
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t put = ::write(fd_, bytes.data() + at, bytes.size() - at);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail(file_, "cannot be written");
    at += static_cast<size_t>(put);
  }
}

void LockFile::touch() { ::futimens(fd_, nullptr); }

bool is_held(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool held = ::flock(fd, LOCK_SH | LOCK_NB) != 0;  // shared: two who only ask do not meet
  ::close(fd);
  return held;
}

}  // namespace espalier
