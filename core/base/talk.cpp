// Both ends of ours are non-blocking: a child that does not read, or does not answer, never holds up its host.

#include "core/base/talk.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <thread>
#include <utility>

#include "core/base/error.h"

namespace espalier {
namespace {

constexpr auto kToEnd = std::chrono::seconds(2);
constexpr auto kRest = std::chrono::milliseconds(5);

/// Writes without the SIGPIPE that a closed pipe brings.
ssize_t write_quietly(int to, const char* bytes, size_t count) {
  sigset_t pipe, before;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, &before);
  const ssize_t written = ::write(to, bytes, count);
  const int reason = errno;
  if (written < 0 && reason == EPIPE) {
    const timespec now = {};
    sigtimedwait(&pipe, nullptr, &now);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = reason;
  return written;
}

}  // namespace

Talk::Talk(const std::vector<std::string>& words, const std::filesystem::path& log) {
  int in[2], out[2];
  if (::pipe2(in, O_CLOEXEC) != 0) throw Error(std::string("[system] no pipe for a child: ") + std::strerror(errno));
  if (::pipe2(out, O_CLOEXEC) != 0) {
    const int reason = errno;
    ::close(in[0]), ::close(in[1]);
    throw Error(std::string("[system] no pipe for a child: ") + std::strerror(reason));
  }
  try {
    child_.emplace(words, log, Signals::kChild, ChildPipes{in[0], out[1]});
  } catch (...) {
    for (const int end : {in[0], in[1], out[0], out[1]}) ::close(end);
    throw;
  }
  ::close(in[0]), ::close(out[1]);
  to_ = in[1], from_ = out[0];
  for (const int end : {to_, from_}) ::fcntl(end, F_SETFL, O_NONBLOCK);
}

Talk::~Talk() {
  push();
  if (to_ >= 0) ::close(to_);
  const auto begin = std::chrono::steady_clock::now();
  while (!child_->poll() && std::chrono::steady_clock::now() - begin < kToEnd) {
    pull();  // it may be waiting to be heard
    heard_.clear();
    std::this_thread::sleep_for(kRest);
  }
  ::close(from_);
}

void Talk::push() {
  while (to_ >= 0 && !unsaid_.empty()) {
    const ssize_t written = write_quietly(to_, unsaid_.data(), unsaid_.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) return;
    if (written < 0)
      ::close(std::exchange(to_, -1)), unsaid_.clear();
    else
      unsaid_.erase(0, static_cast<size_t>(written));
  }
}

void Talk::pull() {
  std::array<char, 1 << 14> buffer;
  while (!closed_ && heard_.size() <= kMostLine) {
    const ssize_t count = ::read(from_, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0)
      closed_ = true;
    else
      heard_.append(buffer.data(), static_cast<size_t>(count));
  }
}

void Talk::say(std::string_view line) {
  if (to_ < 0) return;
  unsaid_.append(line).push_back('\n');
  push();
}

std::optional<std::string> Talk::hear() {
  push();
  pull();
  const size_t end = heard_.find('\n');
  if (end == std::string::npos) {
    babbles_ = heard_.size() > kMostLine;
    if (closed_) heard_.clear();  // a line that was cut off is none
    return std::nullopt;
  }
  std::string line = heard_.substr(0, end);
  heard_.erase(0, end + 1);
  return line;
}

}  // namespace espalier
