#pragma once
// Killing and stopping what runs a sweep, and comparing what comes of it with a sweep that was left in peace.

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <thread>

#include "core/base/rng.h"
#include "core/base/text.h"
#include "tests/support/sweep_run.h"

namespace espalier::testing {

/// `espalier sweep` in the background.
class SweepProcess {
 public:
  SweepProcess(const DistillRun& run, const std::string& file, const std::string& out, int jobs) {
    const std::string sweep_file = run.path(file).string(), folder = run.path(out).string(), count = std::to_string(jobs);
    pid_ = fork();
    if (pid_ == 0) {
      setpgid(0, 0);  // as a shell does
      const int log = open(run.path("controller.log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
      dup2(log, STDOUT_FILENO), dup2(log, STDERR_FILENO);
      execl(ESPALIER_BUILD_DIR "/bin/espalier", "espalier", "sweep", sweep_file.c_str(), "--out", folder.c_str(), "--jobs",
            count.c_str(), nullptr);
      _exit(127);
    }
  }
  ~SweepProcess() {
    if (!ended_) kill_it();
  }
  SweepProcess(const SweepProcess&) = delete;
  SweepProcess& operator=(const SweepProcess&) = delete;

  bool ended() {
    int status = 0;
    if (!ended_ && waitpid(pid_, &status, WNOHANG) == pid_) {
      ended_ = true;
      exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return ended_;
  }
  int exit_code() const { return exit_code_; }
  void kill_it() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    ended_ = true;
  }
  /// Ctrl-C at a terminal: it reaches the whole process group. Waits for the end.
  void ctrl_c() {
    kill(-pid_, SIGINT);
    while (!ended()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  std::vector<pid_t> workers() const {
    std::ifstream in("/proc/" + std::to_string(pid_) + "/task/" + std::to_string(pid_) + "/children");
    std::vector<pid_t> pids;
    for (pid_t pid = 0; in >> pid;) pids.push_back(pid);
    return pids;
  }

 private:
  pid_t pid_;
  bool ended_ = false;
  int exit_code_ = -1;
};

struct Violence {
  int kills = 0, stalls = 0;
  uint64_t seed = 1;
};

/// No process of the sweep in `folder` is left.
inline int processes_of(const std::filesystem::path& folder) {
  int count = 0;
  DIR* proc = opendir("/proc");
  while (const dirent* entry = readdir(proc)) {
    std::ifstream in(std::string("/proc/") + entry->d_name + "/cmdline", std::ios::binary);
    const std::string words{std::istreambuf_iterator<char>(in), {}};
    count += words.find(folder.string()) != std::string::npos ? 1 : 0;
  }
  closedir(proc);
  return count;
}

/// Each trial was finished once, and not started after that.
inline void expect_run_once(const DistillRun& run, const std::string& out) {
  for (const nlohmann::json& row : sweep_rows(run, out)) {
    const std::string id = row["id"];
    bool done = false;
    for (const std::string& line : split(run.bytes(out + "/state/" + id + ".claim"), '\n')) {
      const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
      if (!json.is_object()) continue;
      EXPECT_FALSE(done) << id << " went on after it was done: " << line;
      EXPECT_NE(json.value("end", ""), "failed") << id << ": " << json.value("cause", "");  // "stalled" is our own doing
      done = json.value("end", "") == "done";
    }
  }
}

/// Bytes of metrics that the trials in `folder` have written so far. A sweep has as many at its end, whatever it went through.
inline double written(const std::filesystem::path& folder) {
  double bytes = 0;
  std::error_code none;
  for (const auto& trial : std::filesystem::directory_iterator(folder / "trials", none))
    if (const auto size = std::filesystem::file_size(trial.path() / "metrics.jsonl", none); !none)
      bytes += static_cast<double>(size);
  return bytes;
}

/// Runs `file` as "whole" in peace and as "broken" under kills of workers (three of four) and of the controller, and stops of
/// workers that nobody wakes up; both come to the same, and no trial is lost or run twice. The kills are spread at random over
/// the first four fifths of the work, so that they are as many on a slow machine as on a fast one.
inline void break_sweep(const DistillRun& run, const std::string& file, int jobs, const Violence& violence) {
  const CommandResult whole = sweep(run, file, "whole", {"--jobs", std::to_string(jobs), "-q"});
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  const double all = written(run.path("whole"));
  auto process = std::make_unique<SweepProcess>(run, file, "broken", jobs);
  int kills = 0, stalls = 0, controllers = 0;
  for (uint64_t round = 0; (kills < violence.kills || stalls < violence.stalls) && !process->ended(); ++round) {
    const double u = rng::uniform(violence.seed, 1, round), v = rng::uniform(violence.seed, 2, round);
    const double share = 0.8 * (kills + stalls + u) / (violence.kills + violence.stalls);
    while (written(run.path("broken")) < share * all && !process->ended())
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(100 * v));
    const std::vector<pid_t> workers = process->workers();
    if (workers.empty()) continue;
    const pid_t worker = workers[static_cast<size_t>(v * static_cast<double>(workers.size()))];
    if (stalls < violence.stalls && round % 6 == 5) {
      stalls += kill(worker, SIGSTOP) == 0 ? 1 : 0;
    } else if (kills < violence.kills && rng::uniform(violence.seed, 3, round) < 0.25) {
      process->kill_it();
      ++kills, ++controllers;
      process = std::make_unique<SweepProcess>(run, file, "broken", jobs);
    } else if (kills < violence.kills) {
      kills += kill(worker, SIGKILL) == 0 ? 1 : 0;
    }
  }
  while (!process->ended()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(kills, violence.kills) << "the sweep ended before: give it more to do";
  EXPECT_EQ(stalls, violence.stalls);
  ASSERT_EQ(process->exit_code(), 0) << run.bytes("controller.log");
  expect_same_sweep(run, "whole", "broken");
  expect_run_once(run, "broken");
  EXPECT_EQ(processes_of(run.path("broken")), 0);
  std::printf("%d kills, %d of them of the controller, %d stalls\n", kills, controllers, stalls);
}

/// `trials` trials of 3 steps on the recorded case.
inline void break_toy_sweep(const std::string& name, int trials, int jobs, const Violence& violence) {
  const DistillRun run(name);
  write_sweep_base(run, 3);
  run.write("s.toml", "base = \"recipe.toml\"\n[random]\n\"train.optimizer.lr\" = { log_uniform = [1e-5, 1e-3], samples = " +
                          std::to_string(trials) + " }\n[workers]\nreports = false\nstall_after = 15\n");
  break_sweep(run, "s.toml", jobs, violence);
}

/// Twelve trials on emoji, two at a time, with a stage that four trials have in common.
inline void break_emoji_sweep(const std::string& name, int steps, const Violence& violence) {
  const DistillRun run(name);
  const CommandResult cache = run_command({ESPALIER_BUILD_DIR "/bin/emoji_cache", "--out", run.path("cache").string()});
  ASSERT_EQ(cache.exit_code, 0) << cache.err;
  const std::string count = std::to_string(steps);
  run.write("s.toml", "base = \"" ESPALIER_SOURCE_DIR
                      "/examples/emoji/one-shot.toml\"\nrepeats = 3\n[grid]\n\"data.path\" = [\"cache\"]\n"
                      "\"train.batch_size\" = [4]\n\"train.checkpoint_every\" = [2]\n\"train.lr_schedule.per\" = [\"stage\"]\n"
                      "\"stage\" = [[{ steps = " +
                          count +
                          ", prune = { use = \"espalier.prune.blocks\", remove = "
                          "[\"mid_block.attentions.0\", \"mid_block.resnets.1\"] } }, { steps = " +
                          count +
                          ", prune = { use = "
                          "\"espalier.prune.magnitude\", keep = 4 } }]]\n\"loss.2.weight\" = [0.0, 0.25, 0.5, 1.0]\n"
                          "\"loss.2.stages\" = [[1]]\n[objective]\nmetric = \"val/output\"\n[workers]\nreports = false\n");
  break_sweep(run, "s.toml", 2, violence);
}

}  // namespace espalier::testing
