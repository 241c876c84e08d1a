#include "core/train/metrics.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/train/event_file.h"

namespace espalier::train {
namespace {

[[noreturn]] void fail(const std::filesystem::path& file, const std::string& what) {
  throw UserError(file.string() + ": " + what + ": " + std::strerror(errno));
}

double now_seconds() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

std::filesystem::path event_path(const std::filesystem::path& folder) {
  std::error_code fault;
  std::filesystem::create_directories(folder / "tensorboard", fault);
  return folder / "tensorboard" / "events.out.tfevents.espalier";
}

/// As JSON text, whatever is in it: a key never breaks a row, even one that is no UTF-8.
std::string quoted(const std::string& key) {
  return nlohmann::json(key).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

AppendFile::AppendFile(std::filesystem::path file, uint64_t keep_bytes) : file_(std::move(file)) {
  fd_ = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd_ < 0) fail(file_, "cannot open it for writing");
  struct stat info {};
  if (::fstat(fd_, &info) != 0) fail(file_, "cannot read its length");
  if (static_cast<uint64_t>(info.st_size) < keep_bytes) {
    ::close(fd_);
    throw UserError(fmt::format("{}: has {} bytes, its checkpoint counts {}; the run's files do not belong together",
                                file_.string(), static_cast<uint64_t>(info.st_size), keep_bytes));
  }
  if (::ftruncate(fd_, static_cast<off_t>(keep_bytes)) != 0 || ::lseek(fd_, static_cast<off_t>(keep_bytes), SEEK_SET) < 0)
    fail(file_, "cannot cut it back");
  bytes_ = keep_bytes;
}

AppendFile::~AppendFile() {
  if (fd_ >= 0) ::close(fd_);
}

void AppendFile::append(const std::string& bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t wrote = ::write(fd_, bytes.data() + done, bytes.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) {
      const int reason = errno;
      if (::ftruncate(fd_, static_cast<off_t>(bytes_)) == 0) ::lseek(fd_, static_cast<off_t>(bytes_), SEEK_SET);
      errno = reason;
      fail(file_, "cannot append to it");
    }
    done += static_cast<size_t>(wrote);
  }
  bytes_ += bytes.size();
}

void AppendFile::sync() {
  if (::fsync(fd_) != 0) fail(file_, "cannot bring it to the disk");
}

Metrics::Metrics(const std::filesystem::path& folder, const MetricsMark& mark)
    : rows_(folder / "metrics.jsonl", mark.jsonl_bytes), events_(event_path(folder), mark.event_bytes) {
  if (events_.bytes() == 0) events_.append(event_file_header(now_seconds()));
}

void Metrics::row(int64_t step, const NamedNumbers& numbers, const NamedNumbers& extra) {
  rows_.append(metrics_line(step, numbers));
  NamedNumbers all = numbers;
  all.insert(all.end(), extra.begin(), extra.end());
  events_.append(event_record(now_seconds(), step, all));
}

void Metrics::sync() {
  rows_.sync();
  events_.sync();
}

std::string metrics_line(int64_t step, const NamedNumbers& numbers) {
  std::string line = fmt::format("{{\"step\":{}", step);
  for (const auto& [key, number] : numbers) {
    ESP_CHECK(std::isfinite(number));  // JSON has no other numbers; the trainer stops at one
    line += "," + quoted(key) + ":" + fmt::format("{}", number);
  }
  return line + "}\n";
}

}  // namespace espalier::train
