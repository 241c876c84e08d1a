#pragma once
// Runs a program as a user would and reports what it printed, how it ended, how long it took and how much memory it had.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace espalier::testing {

struct CommandResult {
  std::string out, err;
  int exit_code = -1;  // of a program that ended by itself
  int signal = 0;      // that killed it; 0 otherwise
  double ms = 0;
  uint64_t peak_rss_bytes = 0;
};

/// The program of the build tree.
inline const std::string kEspalier = ESPALIER_BUILD_DIR "/bin/espalier";

/// Starts `arguments[0]` with the rest as its arguments and waits for it. `environment`: NAME=value entries added to
/// this process's own. A program that runs longer than `timeout_s` is killed (signal SIGKILL).
inline CommandResult run_command(const std::vector<std::string>& arguments, const std::vector<std::string>& environment = {},
                                 double timeout_s = 120) {
  int out_pipe[2], err_pipe[2];
  if (pipe2(out_pipe, O_CLOEXEC) != 0 || pipe2(err_pipe, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("fork");
  if (child == 0) {
    dup2(out_pipe[1], STDOUT_FILENO);
    dup2(err_pipe[1], STDERR_FILENO);
    for (const std::string& entry : environment) putenv(const_cast<char*>(entry.c_str()));
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(out_pipe[1]);
  close(err_pipe[1]);

  CommandResult result;
  std::pair<int, std::string*> streams[] = {{out_pipe[0], &result.out}, {err_pipe[0], &result.err}};
  const auto elapsed_s = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  for (bool open = true, killed = false; open;) {
    pollfd waits[2] = {{streams[0].first, POLLIN, 0}, {streams[1].first, POLLIN, 0}};
    poll(waits, 2, 100);
    open = false;
    for (int i = 0; i < 2; ++i) {
      if (streams[i].first < 0) continue;
      char buffer[65536];
      const ssize_t count = waits[i].revents == 0 ? -1 : read(streams[i].first, buffer, sizeof buffer);
      if (count > 0) streams[i].second->append(buffer, static_cast<size_t>(count));
      if (count == 0) close(std::exchange(streams[i].first, -1));
      open = open || streams[i].first >= 0;
    }
    if (!killed && elapsed_s() > timeout_s) killed = kill(child, SIGKILL) == 0;
  }
  int status = 0;
  rusage usage = {};
  wait4(child, &status, 0, &usage);
  result.ms = elapsed_s() * 1e3;
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  result.peak_rss_bytes = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  return result;
}

/// The binary of this build: run_espalier({"inspect", config}).
inline CommandResult run_espalier(std::vector<std::string> arguments, const std::vector<std::string>& environment = {}) {
  arguments.insert(arguments.begin(), kEspalier);
  return run_command(arguments, environment);
}

}  // namespace espalier::testing
