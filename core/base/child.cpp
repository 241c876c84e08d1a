// Between fork and exec only async-signal-safe calls are made: this process may have threads.

#include "core/base/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/base/error.h"
#include "core/base/text.h"

namespace espalier {
namespace {

constexpr int kNotStarted = 127;

[[noreturn]] void become(char* const* words, ChildPipes pipes, int log, int failure, pid_t parent, Signals signals) {
  if (signals == Signals::kGroup) ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kNotStarted);  // died before the line above
  if (pipes.in < 0) pipes.in = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(pipes.in, STDIN_FILENO);
  ::dup2(pipes.out < 0 ? log : pipes.out, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::execvp(words[0], words);
  const int reason = errno;
  [[maybe_unused]] const ssize_t written = ::write(failure, &reason, sizeof reason);
  ::_exit(kNotStarted);
}

ChildEnd end_of(int status) {
  if (WIFSIGNALED(status)) return {0, WTERMSIG(status)};
  return {WEXITSTATUS(status), 0};
}

}  // namespace

std::string ChildEnd::text() const {
  if (signal != 0) return "signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
  return "exit code " + std::to_string(exit_code);
}

Child::Child(const std::vector<std::string>& words, const std::filesystem::path& log, Signals signals, ChildPipes pipes)
    : signals_(signals) {
  const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0) throw UserError("[" + log.string() + "] cannot be written: " + std::strerror(errno));
  int failure[2];
  if (::pipe2(failure, O_CLOEXEC) != 0) {
    ::close(file);
    throw Error(std::string("[system] no pipe for a child: ") + std::strerror(errno));
  }
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) become(arguments.data(), pipes, file, failure[1], parent, signals);
  const int no_fork = errno;
  ::close(file);
  ::close(failure[1]);
  int reason = pid_ < 0 ? no_fork : 0;
  if (pid_ > 0 && ::read(failure[0], &reason, sizeof reason) <= 0) reason = 0;  // ends empty when exec has closed the other end
  ::close(failure[0]);
  if (reason == 0) return;
  if (pid_ > 0) ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  throw Error("[" + words[0] + "] cannot be started: " + std::strerror(reason));
}

Child::Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)), signals_(other.signals_), end_(other.end_) {}

Child& Child::operator=(Child&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(signals_, other.signals_);
  std::swap(end_, other.end_);
  return *this;
}

Child::~Child() {
  if (pid_ < 0 || end_) return;
  send(SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::optional<ChildEnd> Child::poll() {
  if (end_ || pid_ < 0) return end_;
  int status = 0;
  const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
  if (ended == pid_) end_ = end_of(status);
  if (ended < 0 && errno == ECHILD) end_ = ChildEnd{3, 0};  // somebody else took its end: nothing is known but that it is over
  return end_;
}

void Child::send(int signal) const {
  if (pid_ > 0 && !end_) ::kill(signals_ == Signals::kGroup ? -pid_ : pid_, signal);
}

bool on_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  for (const std::string& folder : split(path != nullptr ? path : "/usr/bin:/bin", ':'))
    if (::access((std::filesystem::path(folder.empty() ? "." : folder) / program).c_str(), X_OK) == 0) return true;
  return false;
}

std::string shell_quoted(const std::string& word) {
  const auto plain = [](unsigned char c) { return std::isalnum(c) != 0 || std::strchr("_-./:=,+@%", c) != nullptr; };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string shell_line(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + shell_quoted(word);
  return line;
}

std::filesystem::path own_program() { return std::filesystem::read_symlink("/proc/self/exe"); }

}  // namespace espalier
