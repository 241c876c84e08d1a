// A tenth of sweep_kill_full_test, and what deaths count for.

#include <gmock/gmock.h>

#include "core/sweep/store.h"
#include "tests/support/sweep_kill.h"

namespace espalier::testing {

using ::testing::HasSubstr;

TEST(SweepKill, fifty_toy_trials_under_kills_and_stalls_are_those_of_a_sweep_in_peace) {
  break_toy_sweep("sweep_toys", 50, 8, {.kills = 10, .stalls = 2});
}

TEST(SweepKill, five_kills_of_an_emoji_sweep_change_no_bit) { break_emoji_sweep("sweep_emoji", 3, {.kills = 5}); }

/// What becomes of one trial with the attempts `lines` behind it, none of which came to a checkpoint.
nlohmann::json after_attempts(const std::string& name, const std::string& lines) {
  const DistillRun run(name);
  write_sweep_base(run);
  run.write("s.toml",
            "base = \"recipe.toml\"\n[grid]\n\"train.optimizer.lr\" = [1e-3]\n[objective]\nmetric = \"output\"\n"
            "[workers]\nreports = false\n");
  EXPECT_EQ(sweep(run, "s.toml", "out").exit_code, 0);
  const std::string id = sweep_rows(run, "out").at(0)["id"];
  std::filesystem::remove(run.path("out/state/" + id + ".done"));
  std::filesystem::remove_all(run.path("out/trials/" + id));
  run.write("out/state/" + id + ".claim", lines);
  sweep(run, "s.toml", "out");
  return sweep_rows(run, "out").at(0);
}

std::string times(int count, const std::string& lines) {
  std::string all;
  for (int i = 0; i < count; ++i) all += lines;
  return all;
}

const std::string kStart = sweep::start_line("") + "\n", kKilled = sweep::end_line("killed", "", 0) + "\n";

TEST(SweepDeaths, a_trial_whose_worker_was_seen_killed_eight_times_at_one_place_is_given_up) {
  const nlohmann::json row = after_attempts("deaths_seen", times(8, kStart + kKilled));
  EXPECT_EQ(row["state"], "failed");
  EXPECT_THAT(row["cause"].get<std::string>(), HasSubstr("was killed 8 times at one place"));
}

TEST(SweepDeaths, deaths_that_nobody_saw_and_kills_with_progress_between_them_count_for_nothing) {
  EXPECT_EQ(after_attempts("deaths_unseen", times(30, kStart) + times(7, kStart + kKilled))["state"], "complete");
  const std::string further = sweep::start_line("step-000000001-stage-000-attempt-000") + "\n";
  EXPECT_EQ(after_attempts("deaths_apart", times(5, kStart + kKilled) + times(5, further + kKilled))["state"], "complete");
}

TEST(SweepDeaths, the_controller_notes_that_a_worker_was_killed) {
  const DistillRun run("deaths_noted");
  write_sweep_base(run, 2000);
  run.write("s.toml", "base = \"recipe.toml\"\n[grid]\n\"train.optimizer.lr\" = [1e-3]\n[workers]\nreports = false\n");
  SweepProcess process(run, "s.toml", "out", 1);
  const auto claims = [&] {
    std::string text;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(run.path("out/state"), none))
      if (entry.path().extension() == ".claim") text += run.bytes("out/state/" + entry.path().filename().string());
    return text;
  };
  const auto wait_for = [&](const std::string& what) {
    for (int i = 0; i < 3000 && claims().find(what) == std::string::npos && !process.ended(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return claims().find(what) != std::string::npos;
  };
  ASSERT_TRUE(wait_for("\"start\""));
  ASSERT_EQ(process.workers().size(), 1u);
  kill(process.workers()[0], SIGKILL);
  EXPECT_TRUE(wait_for("\"killed\"")) << claims();
}

}  // namespace espalier::testing
