// A run that is stopped, killed or out of space at any moment goes on to the bits of an unbroken one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/distill_kill.h"

namespace espalier {
namespace {

using testing::CommandResult;
using testing::DistillRun;
using testing::expect_same_run;
using ::testing::HasSubstr;
using testing::kill_often;
using testing::run_and_kill;
using testing::write_resume_recipe;
namespace fs = std::filesystem;

TEST(DistillResume, ten_kills_at_random_moments_change_no_bit) { kill_often("kill10", 10); }

TEST(DistillResume, an_interrupted_run_says_how_to_go_on_and_does) {
  DistillRun run("interrupt");
  write_resume_recipe(run);
  ASSERT_EQ(run.run("whole").exit_code, 0);
  const std::string file = run.path("recipe.toml").string(), folder = run.path("broken").string();
  const CommandResult result = testing::run_command({"/bin/sh", "-c",
                                                     "'" ESPALIER_BUILD_DIR "/bin/espalier' distill '" + file + "' --out '" +
                                                         folder + "' & p=$!; while [ ! -s '" + folder +
                                                         "/metrics.jsonl' ]; do sleep 0.02; done; kill -INT $p; wait $p"});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_THAT(result.err, HasSubstr("the same command with --resume goes on from there"));
  ASSERT_EQ(run.run("broken", {"--resume"}).exit_code, 0);
  expect_same_run(run, "whole", "broken");
}

TEST(DistillResume, a_damaged_checkpoint_is_named_and_the_one_before_it_is_used) {
  DistillRun run("damaged");
  write_resume_recipe(run);
  ASSERT_EQ(run.run("whole").exit_code, 0);
  fs::copy(run.path("whole"), run.path("broken"), fs::copy_options::recursive);
  for (const char* made : {"manifest.json", "student", "student-ema", "plan.toml"}) fs::remove_all(run.path("broken") / made);
  const std::vector<fs::path> checkpoints = run.checkpoints("broken");
  ASSERT_GE(checkpoints.size(), 2u);
  {
    std::fstream file(checkpoints.back() / "state.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(5000);
    file.put('\x5a');
  }
  const CommandResult result = run.run("broken", {"--resume"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("not used: state.safetensors is damaged"));
  expect_same_run(run, "whole", "broken");
}

TEST(DistillResume, a_failed_write_keeps_the_last_checkpoint_and_is_no_success) {
  DistillRun run("full");
  write_resume_recipe(run);
  const CommandResult whole = run.run("whole");
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  const std::string file = run.path("recipe.toml").string();
  const auto limited = [&](const std::string& blocks) {
    return testing::run_command({"/bin/sh", "-c",
                                 "trap '' XFSZ; ulimit -f " + blocks + "; exec '" ESPALIER_BUILD_DIR "/bin/espalier' distill '" +
                                     file + "' --out '" + run.path("broken").string() + "' --resume"});
  };
  // No checkpoint fits under the limit: the run fails at its first one.
  const CommandResult none = limited("100");
  EXPECT_NE(none.exit_code, 0);
  EXPECT_FALSE(fs::exists(run.path("broken/student")));
  // One that was good stays good when the next cannot be written.
  const auto good = [&] {
    std::vector<std::string> names;
    for (const fs::path& path : run.checkpoints("broken"))
      if (path.filename().string()[0] != '.') names.push_back(path.filename());  // others were not whole when it was killed
    return names;
  };
  for (int tries = 0; tries < 20 && (good().empty() || fs::exists(run.path("broken/manifest.json"))); ++tries) {
    fs::remove_all(run.path("broken"));
    run_and_kill(run, "broken", 0.6 * whole.ms);
  }
  const std::vector<std::string> before = good();
  ASSERT_FALSE(before.empty());
  EXPECT_NE(limited("100").exit_code, 0);
  for (const std::string& name : before) EXPECT_TRUE(fs::exists(run.path("broken/checkpoints") / name)) << name;
  ASSERT_EQ(run.run("broken", {"--resume"}).exit_code, 0);
  expect_same_run(run, "whole", "broken");
}

TEST(DistillResume, two_processes_do_not_share_a_run) {
  DistillRun run("lock");
  write_resume_recipe(run);
  const std::string file = run.path("recipe.toml").string(), folder = run.path("run").string();
  const std::string espalier = "'" ESPALIER_BUILD_DIR "/bin/espalier' distill '" + file + "' --out '" + folder + "' --resume";
  const CommandResult result =
      testing::run_command({"/bin/sh", "-c",
                            espalier + " 2>/dev/null & p=$!; while [ ! -e '" + folder +
                                "/metrics.jsonl' ]; do sleep 0.02; done; " + espalier + "; rc=$?; kill -9 $p; exit $rc"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("another process runs in this folder"));
}

}  // namespace
}  // namespace espalier
