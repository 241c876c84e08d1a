// Where a sweep's workers run: by a command line of the user's, or as tasks of a Slurm array.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <signal.h>

#include <map>
#include <thread>

#include "core/base/child.h"
#include "core/sweep/launch_command.h"
#include "core/sweep/slurm_script.h"
#include "tests/support/distill_kill.h"
#include "tests/support/fake_slurm.h"

namespace espalier::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

/// Whether a process is gone within some seconds; a zombie that nobody has buried yet is.
bool ends(pid_t pid) {
  const auto runs = [&] {
    std::ifstream status("/proc/" + std::to_string(pid) + "/stat");
    std::string word, name, state;
    return status >> word >> name >> state && state != "Z";
  };
  for (int i = 0; i < 500 && runs(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return !runs();
}

class SweepLaunch : public ::testing::Test {
 protected:
  void SetUp() override { write(2, 3); }

  /// `trials` trials of `steps` steps.
  void write(int trials, int steps, const std::string& rest = "[workers]\nreports = false\n") const {
    const std::string count = std::to_string(steps);
    run_.write_recipe("[train]\nbatch_size = 2\ncheckpoint_every = 1\n[[stage]]\nsteps = " + count +
                      "\nprune = { use = \"espalier.prune.first-k\", keep = 2 }\n");
    run_.write("sweep.toml",
               "base = \"recipe.toml\"\nrepeats = " + std::to_string(trials) + "\n[objective]\nmetric = \"total\"\n" + rest);
  }
  CommandResult sweep(const std::string& out, std::vector<std::string> more,
                      const std::vector<std::string>& environment = {}) const {
    std::vector<std::string> words{kEspalier, "sweep", run_.path("sweep.toml").string(), "--out", run_.path(out).string()};
    words.insert(words.end(), more.begin(), more.end());
    return run_command(words, environment, 300);
  }
  CommandResult on_slurm(std::vector<std::string> more = {}, const std::string& out = "out") const {
    more.insert(more.begin(), {"--launcher", "slurm"});
    return sweep(out, more, {slurm_.path_with_it()});
  }
  std::vector<nlohmann::json> rows(const std::string& out) const {
    std::ifstream file(run_.path(out) / "trials.jsonl");
    std::vector<nlohmann::json> rows;
    for (std::string line; std::getline(file, line);) rows.push_back(nlohmann::json::parse(line));
    return rows;
  }
  void expect_complete_as_here(size_t trials) const {
    const CommandResult here = sweep("here", {});
    ASSERT_EQ(here.exit_code, 0) << here.err;
    const std::vector<nlohmann::json> expected = rows("here"), found = rows("out");
    ASSERT_EQ(expected.size(), trials);
    ASSERT_EQ(found.size(), trials);
    for (size_t i = 0; i < trials; ++i) {
      EXPECT_EQ(found[i]["state"], "complete") << found[i];
      const std::string trial = "/trials/" + found[i]["id"].get<std::string>();
      EXPECT_FALSE(run_.bytes(run_.weights_of("here" + trial)).empty());
      EXPECT_EQ(run_.bytes(run_.weights_of("out" + trial)), run_.bytes(run_.weights_of("here" + trial)));
    }
  }
  std::string claims() const {
    std::string text;
    for (const auto& entry : fs::directory_iterator(run_.path("out") / "state"))
      if (entry.path().extension() == ".claim") text += run_.bytes("out/state/" + entry.path().filename().string());
    return text;
  }

  /// A sweep that goes on in the background.
  Child started(std::vector<std::string> more) const {
    std::vector<std::string> words{kEspalier, "sweep", run_.path("sweep.toml").string(), "--out", run_.path("out").string()};
    words.insert(words.end(), more.begin(), more.end());
    return Child(words, run_.path("controller.log"));
  }
  /// Of the first worker that has begun; 0 when none does within a minute.
  pid_t worker_pid() const {
    for (int i = 0; i < 6000; ++i) {
      if (fs::exists(run_.path("out"))) {
        const std::string text = claims();
        if (const size_t at = text.find("\"pid\":"); at != std::string::npos) return std::stoi(text.substr(at + 6));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return 0;
  }

  DistillRun run_{"launch"};
  FakeSlurm slurm_{run_.path("slurm")};
};

TEST_F(SweepLaunch, a_template_starts_workers_with_the_results_of_no_template) {
  const CommandResult nice = sweep("out", {"--jobs", "2", "--launcher", "command", "--command", "nice {command}"});
  ASSERT_EQ(nice.exit_code, 0) << nice.err;
  expect_complete_as_here(2);
  const CommandResult list =
      sweep("list", {"--launcher", "command", "--command", "cd {cwd} && env SLOT={slot} ID={id} {command}"});
  EXPECT_EQ(list.exit_code, 0) << list.err;
}

TEST_F(SweepLaunch, a_template_with_one_word_for_a_remote_shell_starts_workers) {
  const CommandResult result = sweep("out 'of' $all", {"--launcher", "command", "--command", "env -C / sh -c {remote}"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(rows("out 'of' $all").size(), 2u);
}

TEST_F(SweepLaunch, a_template_that_cannot_start_a_worker_fails_each_trial_after_its_retries_with_the_cause) {
  write(2, 3, "[workers]\nretries = 1\n");
  const CommandResult result = sweep("out", {"--launcher", "command", "--command", "no-such-program {command}"});
  EXPECT_EQ(result.exit_code, 1);
  ASSERT_EQ(rows("out").size(), 2u);
  for (const nlohmann::json& row : rows("out")) {
    EXPECT_EQ(row["state"], "failed");
    EXPECT_THAT(row["cause"].get<std::string>(), HasSubstr("exit code 127"));
    EXPECT_THAT(row["cause"].get<std::string>(), HasSubstr("no-such-program"));
    EXPECT_EQ(row["failures"], 2);
  }
}

TEST_F(SweepLaunch, a_template_that_ends_well_without_a_worker_fails_each_trial) {
  write(1, 3, "[workers]\nretries = 0\n");
  const CommandResult result = sweep("out", {"--launcher", "command", "--command", "echo would run {command}"});
  EXPECT_EQ(result.exit_code, 1);
  ASSERT_EQ(rows("out").size(), 1u);
  EXPECT_THAT(rows("out")[0]["cause"].get<std::string>(), HasSubstr("exit code 0: would run"));
}

TEST_F(SweepLaunch, a_worker_by_a_template_of_one_command_dies_with_a_killed_controller) {
  write(1, 300);
  {
    const Child controller = started({"--launcher", "command", "--command", "nice env -C {cwd} {command}"});
    ASSERT_NE(worker_pid(), 0);
    controller.send(SIGKILL);
  }
  EXPECT_TRUE(ends(worker_pid()));
  EXPECT_THAT(claims(), Not(HasSubstr("\"end\"")));
}

TEST_F(SweepLaunch, a_worker_by_a_template_of_a_list_writes_its_checkpoint_when_the_sweep_is_stopped) {
  write(1, 300);
  Child controller = started({"--launcher", "command", "--command", "cd {cwd} && {command}"});
  ASSERT_NE(worker_pid(), 0);
  controller.send(SIGTERM);
  std::optional<ChildEnd> end;
  while (!(end = controller.poll())) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(end->exit_code, 3);
  EXPECT_THAT(claims(), HasSubstr("\"end\":\"stopped\""));
}

TEST_F(SweepLaunch, faults_of_its_options_are_found_before_anything_is_written) {
  const struct {
    std::vector<std::string> words;
    const char* says;
  } cases[] = {
      {{"--launcher", "command"}, "has no {command}"},
      {{"--launcher", "command", "--command", "ssh node{slot}"}, "has no {command}"},
      {{"--launcher", "command", "--command", "nice {comand}"}, "did you mean 'command'"},
      {{"--launcher", "slurn"}, "did you mean 'slurm'"},
      {{"--command", "nice {command}"}, "--launcher command"},
      {{"--slurm", "--time=3"}, "--launcher slurm"},
  };
  for (const auto& each : cases) {
    const CommandResult result = sweep("out", each.words);
    EXPECT_EQ(result.exit_code, 2) << each.says;
    EXPECT_THAT(result.err, HasSubstr(each.says));
  }
  const CommandResult none = sweep("out", {"--launcher", "slurm"}, {"PATH=/nowhere"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_THAT(none.err, HasSubstr("there is no sbatch on PATH"));
  EXPECT_FALSE(fs::exists(run_.path("out")));
}

TEST_F(SweepLaunch, a_slurm_array_completes_all_trials_and_a_second_look_submits_nothing) {
  const CommandResult result = on_slurm({"--jobs", "2", "--slurm", "--partition=x --time=30"});
  ASSERT_EQ(result.exit_code, 0) << result.err << slurm_.text("task-4711-0.log");
  EXPECT_THAT(result.err, HasSubstr("submitted as job 4711: 2 tasks, 2 at a time"));
  const std::string script = slurm_.text("script-4711");
  for (const char* line : {"#SBATCH --array=0-1%2\n", "#SBATCH --requeue\n", "#SBATCH --open-mode=append\n",
                           "#SBATCH --signal=B:USR1@120\n", "#SBATCH --partition=x --time=30\n"})
    EXPECT_THAT(script, HasSubstr(line));
  EXPECT_EQ(script, run_.bytes("out/slurm/array.sh"));
  EXPECT_EQ(run_.bytes("out/slurm/job"), "4711 1\n");
  expect_complete_as_here(2);
  EXPECT_EQ(on_slurm().exit_code, 0);
  EXPECT_EQ(slurm_.submissions(), 1);
}

TEST_F(SweepLaunch, who_stops_looking_leaves_the_job_and_who_looks_again_does_not_submit_it_twice) {
  slurm_.make("wait");
  const CommandResult left =
      run_command({"/usr/bin/timeout", "--preserve-status", "-s", "INT", "12", kEspalier, "sweep",
                   run_.path("sweep.toml").string(), "--out", run_.path("out").string(), "--launcher", "slurm"},
                  {slurm_.path_with_it()});
  EXPECT_EQ(left.exit_code, 3) << left.err;
  EXPECT_THAT(left.err, HasSubstr("scancel 4711"));
  EXPECT_EQ(slurm_.submissions(), 1);
  slurm_.remove("wait");
  const CommandResult again = on_slurm();
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(slurm_.submissions(), 1);
}

TEST_F(SweepLaunch, a_job_that_leaves_the_queue_is_reported_and_the_same_command_submits_the_rest) {
  slurm_.make("lose");
  const CommandResult lost = on_slurm();
  EXPECT_EQ(lost.exit_code, 1) << lost.err;
  EXPECT_THAT(lost.err, HasSubstr("job 4711 has left Slurm's queue, and 1 trial is not done"));
  slurm_.remove("lose");
  const CommandResult rest = on_slurm();
  EXPECT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_THAT(slurm_.text("script-4712"), HasSubstr("#SBATCH --array=0-0%1\n"));
  EXPECT_EQ(run_.bytes("out/slurm/job"), "4712 2\n");
  expect_complete_as_here(2);
}

TEST_F(SweepLaunch, a_task_whose_time_is_nearly_over_writes_its_checkpoint_and_goes_back_into_the_queue) {
  write(1, 60);
  slurm_.make("signal", run_.path("out").string());
  const CommandResult result = on_slurm();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string log = slurm_.text("task-4711-0.log");
  EXPECT_THAT(log, HasSubstr("time is nearly over"));
  EXPECT_THAT(log, HasSubstr(" start 1 on "));
  EXPECT_THAT(claims(), HasSubstr("\"end\":\"stopped\""));
  expect_complete_as_here(1);
}

TEST_F(SweepLaunch, a_sweep_with_rungs_comes_to_its_end_through_tasks_that_take_trials_by_themselves) {
  run_.write_recipe("[train]\nbatch_size = 2\nsteps = 4\nvalidate_every = 1\ncheckpoint_every = 1\n", small_cache(run_));
  run_.write("sweep.toml",
             "base = \"recipe.toml\"\n[grid]\n\"train.optimizer.lr\" = [1e-3, 1e-4, 1e-5]\n"
             "[stop]\nuse = \"asha\"\nmin_steps = 2\nreduction = 2\n[workers]\nreports = false\n");
  const CommandResult result = on_slurm({"--jobs", "2"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(slurm_.text("script-4711"), HasSubstr("#SBATCH --array=0-1%2\n"));
  std::map<std::string, int> states;
  for (const nlohmann::json& row : rows("out")) ++states[row["state"]];
  EXPECT_GE(states["complete"], 1);
  EXPECT_GE(states["pruned"], 1);
  EXPECT_EQ(states["complete"] + states["pruned"], 3);
  EXPECT_EQ(slurm_.submissions(), 1);
}

TEST_F(SweepLaunch, what_sbatch_refuses_is_passed_on) {
  slurm_.make("refuse", "sbatch: error: invalid partition specified: x\n");
  const CommandResult result = on_slurm();
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("invalid partition specified: x"));
  slurm_.remove("refuse");
  EXPECT_EQ(on_slurm().exit_code, 0);
}

TEST(SlurmScript, tasks_of_a_sweep_with_rungs_take_trials_until_none_is_left) {
  const std::string text = sweep::to_text({.folder = "/a b/50%",
                                           .cwd = "/c",
                                           .ids = {},
                                           .worker = {"/bin/espalier", "work", "/a b/50%"},
                                           .threads_of_task = true,
                                           .tasks = 2,
                                           .at_once = 2,
                                           .extra = ""});
  EXPECT_THAT(text, HasSubstr("exec /bin/espalier work '/a b/50%' --threads \"${SLURM_CPUS_ON_NODE:-1}\";"));
  EXPECT_THAT(text, HasSubstr("#SBATCH --output='/a b/50%%/slurm/%A_%a.log'"));
  EXPECT_THAT(text, Not(HasSubstr("--trial")));
  EXPECT_EQ(text.find("#SBATCH \n"), std::string::npos);
}

TEST(CommandTemplate, one_command_becomes_the_child_and_a_list_keeps_its_shell) {
  const std::vector<std::string> worker = {"/bin/espalier", "work", "a 'b'"};
  EXPECT_EQ(sweep::by_template("nice {command} # ${command}", worker, 3, "77", "/c")[2],
            "exec nice /bin/espalier work 'a '\\''b'\\''' # ${command}");
  EXPECT_EQ(sweep::by_template("A=b {command}", {"w"}, 3, "77", "/c")[2], "trap : TERM INT\nA=b w");
  EXPECT_EQ(sweep::by_template("cd {cwd} && x{slot} {id} {other} {command}", {"w"}, 3, "77", "/c d")[2],
            "trap : TERM INT\ncd '/c d' && x3 77 {other} w");
  EXPECT_EQ(sweep::by_template("ssh n {remote}", {"w", "$x"}, 3, "77", "/c")[2], "exec ssh n 'cd /c && exec w '\\''$x'\\'''");
}

TEST(Child, a_group_is_killed_with_all_that_it_has_started) {
  const fs::path folder = fs::temp_directory_path() / ("espalier_group_" + std::to_string(getpid()));
  fs::create_directories(folder);
  const fs::path file = folder / "pid";
  {
    const Child child(
        {"/bin/sh", "-c",
         "sleep 600 & echo $! > " + file.string() + ".new; mv " + file.string() + ".new " + file.string() + "; wait"},
        folder / "log", Signals::kGroup);
    while (!fs::exists(file)) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  pid_t inner = 0;
  std::ifstream(file) >> inner;
  EXPECT_TRUE(ends(inner));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace espalier::testing
