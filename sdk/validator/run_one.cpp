// One test, one process: a fork of this one, which never loads the plugin itself and has no threads, so that a fork is safe and
// costs a millisecond.

#include "sdk/validator/run_one.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <new>

#include "core/base/child.h"
#include "core/base/error.h"
#include "core/base/text.h"
#include "plugins/elf.h"

namespace espalier::validator {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kOutcomes[] = {'p', 'w', 's', 'f', 'c', 't', 'm'};
constexpr size_t kMostReply = size_t{1} << 20;

std::string one_line(std::string text) {
  for (size_t at; (at = text.find('\n')) != std::string::npos;) text.replace(at, 1, "; ");
  return text;
}

/// The outcome's letter, then the text.
std::string judged(const std::function<std::string()>& body) {
  try {
    return 'p' + body();
  } catch (const Verdict& verdict) {
    return kOutcomes[static_cast<int>(verdict.outcome)] + std::string(verdict.what());
  } catch (const std::bad_alloc&) {
    return "mit asked for more memory than the limit";
  } catch (const std::exception& error) {
    return std::string("f") + error.what();
  }
}

[[noreturn]] void be_child(const CheckOptions& options, const std::function<std::string()>& body, int reply) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core{0, 0}, memory{options.memory_bytes, options.memory_bytes};
  ::setrlimit(RLIMIT_CORE, &no_core);
  if (!plugins::host_has_asan() && !plugins::host_has_tsan()) ::setrlimit(RLIMIT_DATA, &memory);
  for (const int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(signal, SIG_DFL);
  const int out = ::memfd_create("stdout", 0), nowhere = ::open("/dev/null", O_RDWR);
  ::dup2(nowhere, 0), ::dup2(out, 1), ::dup2(nowhere, 2);
  const std::string said = judged(body);
  for (size_t at = 0; at < said.size();) {
    const ssize_t wrote = ::write(reply, said.data() + at, said.size() - at);
    if (wrote <= 0) break;
    at += static_cast<size_t>(wrote);
  }
  ::_exit(0);
}

/// What the plugin's processes started and left behind: they are ours now, as this process adopts orphans while it checks.
void kill_orphans() {
  for (int round = 0; round < 100; ++round) {
    std::ifstream children("/proc/self/task/" + std::to_string(::getpid()) + "/children");
    pid_t pid = 0;
    bool any = false;
    while (children >> pid) any = true, ::kill(pid, SIGKILL);
    if (!any) return;
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    ::usleep(2000);
  }
}

struct Ended {
  bool timed_out = false;
  ChildEnd end;
  uint64_t peak_bytes = 0;
};

Ended wait_for(pid_t pid, int reply, int seconds, std::string& said) {
  Ended ended;
  const auto deadline = Clock::now() + std::chrono::seconds(seconds);
  char buffer[4096];
  const int gone = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));  // a process that it left behind may hold the pipe open
  ::fcntl(reply, F_SETFL, O_NONBLOCK);
  for (bool ended_itself = false; !ended_itself;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd ready[] = {{reply, POLLIN, 0}, {gone, POLLIN, 0}};
    const int polled = left > 0 ? ::poll(ready, gone >= 0 ? 2 : 1, static_cast<int>(left)) : 0;
    if (polled < 0 && errno == EINTR) continue;
    if (polled == 0) {
      ended.timed_out = true;
      break;
    }
    ended_itself = gone >= 0 && ready[1].revents != 0;
    ssize_t got = 0;
    while ((got = ::read(reply, buffer, sizeof buffer)) > 0)
      if (said.size() < kMostReply) said.append(buffer, static_cast<size_t>(got));
    if (got == 0) break;
  }
  if (gone >= 0) ::close(gone);
  if (ended.timed_out) ::kill(-pid, SIGKILL), ::kill(pid, SIGKILL);
  int status = 0;
  rusage used{};
  while (::wait4(pid, &status, 0, &used) < 0 && errno == EINTR) {
  }
  ::kill(-pid, SIGKILL);
  ended.peak_bytes = static_cast<uint64_t>(used.ru_maxrss) * 1024;
  if (WIFSIGNALED(status))
    ended.end.signal = WTERMSIG(status);
  else
    ended.end.exit_code = WEXITSTATUS(status);
  return ended;
}

}  // namespace

void run_one(const CheckOptions& options, TestRow& row, const std::function<std::string()>& body, std::string* reply) {
  const auto begin = Clock::now();
  std::string said;
  Ended ended;
  if (options.in_process) {
    said = judged(body);
  } else {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw Error(std::string("[check] no pipe: ") + std::strerror(errno));
    const pid_t pid = ::fork();
    if (pid < 0) throw Error(std::string("[check] no process: ") + std::strerror(errno));
    if (pid == 0) {
      ::close(ends[0]);
      be_child(options, body, ends[1]);
    }
    ::setpgid(pid, pid);
    ::close(ends[1]);
    ended = wait_for(pid, ends[0], options.seconds, said);
    ::close(ends[0]);
    kill_orphans();
  }
  row.ms = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
  const bool full = ended.peak_bytes > options.memory_bytes / 10 * 8;
  if (ended.timed_out) {
    row.outcome = Outcome::kTimeout;
    row.text = "did not come to an end in " + std::to_string(options.seconds) + " s";
  } else if (ended.end.signal != 0) {
    row.outcome = full ? Outcome::kMemory : Outcome::kCrash;
    row.text = ended.end.text() + (full ? ", with " + human_bytes(ended.peak_bytes) + " of memory" : "");
  } else if (said.empty()) {
    row.outcome = Outcome::kCrash;
    row.text = "it ended its process (" + ended.end.text() + ")";
  } else {
    for (size_t i = 0; i < sizeof kOutcomes; ++i)
      if (said[0] == kOutcomes[i]) row.outcome = static_cast<Outcome>(i);
    if (reply != nullptr && row.outcome == Outcome::kPass)
      *reply = said.substr(1);
    else
      row.text = printable(one_line(said.substr(1)), 600);
    if (full && row.outcome == Outcome::kFail) row.outcome = Outcome::kMemory;
  }
}

}  // namespace espalier::validator
