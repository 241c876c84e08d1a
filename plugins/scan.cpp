#include "plugins/scan.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "core/base/child.h"
#include "core/base/error.h"
#include "plugins/elf.h"
#include "plugins/host.h"
#include "plugins/loader.h"

namespace espalier::plugins {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kBegun = 'b', kDone = 'd';

void limit_child(const ScanLimits& limits) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core{0, 0}, memory{limits.memory_bytes, limits.memory_bytes};
  ::setrlimit(RLIMIT_CORE, &no_core);
  if (!host_has_asan() && !host_has_tsan()) ::setrlimit(RLIMIT_AS, &memory);  // their shadow memory is larger
  for (const int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGINT, SIGTERM, SIGHUP}) ::signal(signal, SIG_DFL);
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int fd : {0, 1, 2}) ::dup2(nowhere, fd);
}

/// In the child: a byte before each file and one after it.
[[noreturn]] void try_all(const std::vector<Candidate>& candidates, size_t first, int report, const ScanLimits& limits) {
  limit_child(limits);
  for (size_t i = first; i < candidates.size(); ++i) {
    if (::write(report, &kBegun, 1) != 1) ::_exit(1);
    const Verdict verdict = load(candidates[i]);
    if (verdict.ok && verdict.plugin->init != nullptr) contained([&] { return verdict.plugin->init(host_table()); });
    if (::write(report, &kDone, 1) != 1) ::_exit(1);
  }
  ::_exit(0);
}

struct Child {
  pid_t pid = -1;
  int report = -1;
  int gone = -1;  // readable when it has ended: a process that it left behind may hold the pipe open
};

Child start(const std::vector<Candidate>& candidates, size_t first, const ScanLimits& limits) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Error(std::string("[plugins] no pipe for the scan: ") + std::strerror(errno));
  const pid_t pid = ::fork();
  if (pid < 0) throw Error(std::string("[plugins] no process for the scan: ") + std::strerror(errno));
  if (pid == 0) {
    ::setpgid(0, 0);
    ::close(ends[0]);
    try_all(candidates, first, ends[1], limits);
  }
  ::setpgid(pid, pid);
  ::close(ends[1]);
  return {pid, ends[0], static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
}

ChildEnd reap(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  ::kill(-pid, SIGKILL);  // what it may have started
  if (WIFSIGNALED(status)) return {0, WTERMSIG(status)};
  return {WEXITSTATUS(status), 0};
}

/// Follows one child until it ends or hangs. `at` is the file that it is at, or that comes next.
std::string follow(const Child& child, size_t& at, size_t count, const ScanLimits& limits) {
  auto deadline = Clock::now() + std::chrono::seconds(limits.seconds);
  bool inside = false;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd ready[] = {{child.report, POLLIN, 0}, {child.gone, POLLIN, 0}};
    const int polled = left > 0 ? ::poll(ready, child.gone >= 0 ? 2 : 1, static_cast<int>(left)) : 0;
    if (polled < 0 && errno == EINTR) continue;
    if (polled == 0) {
      ::kill(-child.pid, SIGKILL);
      reap(child.pid);
      return "did not come to an end in " + std::to_string(limits.seconds) + " s of being loaded";
    }
    char said = 0;
    if (ready[0].revents != 0 && ::read(child.report, &said, 1) == 1) {
      inside = said == kBegun;
      if (said == kDone) ++at, deadline = Clock::now() + std::chrono::seconds(limits.seconds);
      continue;
    }
    const ChildEnd end = reap(child.pid);
    if (at >= count || (!inside && end.signal == 0 && end.exit_code == 0)) return "";
    return end.signal != 0 ? "crashed when it was loaded: " + end.text()
                           : "ended its process when it was loaded (" + end.text() + ")";
  }
}

}  // namespace

std::vector<std::string> scan(const std::vector<Candidate>& candidates, const ScanLimits& limits) {
  std::vector<std::string> found(candidates.size());
  for (size_t at = 0; at < candidates.size();) {
    const Child child = start(candidates, at, limits);
    const std::string fault = follow(child, at, candidates.size(), limits);
    ::close(child.report);
    if (child.gone >= 0) ::close(child.gone);
    if (at < candidates.size()) found[at++] = fault;
  }
  return found;
}

}  // namespace espalier::plugins
