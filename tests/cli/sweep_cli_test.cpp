// `espalier sweep` and `espalier work` as a user meets them.

#include <gmock/gmock.h>

#include "core/base/text.h"
#include "tests/support/sweep_kill.h"

namespace espalier::testing {
namespace {

using ::testing::HasSubstr;

constexpr const char* kTwoRates =
    "base = \"recipe.toml\"\nrepeats = 2\n[grid]\n\"train.optimizer.lr\" = [1e-3, 1e-4]\n[objective]\nmetric = \"output\"\n"
    "[workers]\nreports = false\n";

std::set<std::string> ids_of(const DistillRun& run, const std::string& out) {
  std::set<std::string> ids;
  for (const nlohmann::json& row : sweep_rows(run, out)) ids.insert(row["id"]);
  return ids;
}

TEST(SweepCli, a_trial_is_the_run_that_its_recipe_gives_alone) {
  const DistillRun run("sweep_alone");
  write_sweep_base(run);
  run.write("s.toml", kTwoRates);
  const CommandResult result = sweep(run, "s.toml", "out", {"--jobs", "2"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::vector<nlohmann::json> rows = sweep_rows(run, "out");
  ASSERT_EQ(rows.size(), 4u);
  for (const nlohmann::json& row : rows) {
    const std::string id = row["id"], lr = row["settings"]["train.optimizer.lr"].dump(),
                      seed = row["settings"]["train.seed"].dump();
    const CommandResult alone = run.run("alone-" + id, {"--set", "train.optimizer.lr=" + lr, "--set", "train.seed=" + seed});
    ASSERT_EQ(alone.exit_code, 0) << alone.err;
    EXPECT_EQ(run.bytes("out/trials/" + id + "/metrics.jsonl"), run.bytes("alone-" + id + "/metrics.jsonl"));
    EXPECT_EQ(run.bytes(run.weights_of("out/trials/" + id)), run.bytes(run.weights_of("alone-" + id)));
    EXPECT_EQ(row["values"]["output"].get<float>(), run.rows("alone-" + id).back()["output"].get<float>());
  }
  EXPECT_THAT(result.out, HasSubstr("2 complete"));
  EXPECT_THAT(run.bytes("out/trials.csv"), HasSubstr("id,name,train.optimizer.lr,train.seed,state,"));
}

TEST(SweepCli, the_order_of_the_file_names_no_trial_and_nothing_runs_twice) {
  const DistillRun run("sweep_order");
  write_sweep_base(run);
  run.write("s.toml", kTwoRates);
  ASSERT_EQ(sweep(run, "s.toml", "out").exit_code, 0);
  const std::string before = run.bytes("out/trials.jsonl");
  run.write("s.toml",
            "repeats = 2\nbase = \"recipe.toml\"\n[objective]\nmetric = \"output\"\n[workers]\nreports = false\n"
            "[grid]\ntrain.optimizer.lr = [1e-4, 0.001]  # turned round\n");
  const CommandResult again = sweep(run, "s.toml", "out");
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_LT(again.ms, 5000);
  EXPECT_EQ(run.bytes("out/trials.jsonl"), before);
  for (const std::string& id : ids_of(run, "out"))
    EXPECT_EQ(nlohmann::json::parse(split(run.bytes("out/state/" + id + ".claim"), '\n')[0])["start"], "");
}

TEST(SweepCli, a_changed_file_is_refused_with_the_difference_or_extends_the_sweep) {
  const DistillRun run("sweep_extend");
  write_sweep_base(run);
  run.write("s.toml", kTwoRates);
  ASSERT_EQ(sweep(run, "s.toml", "out").exit_code, 0);
  const std::set<std::string> before = ids_of(run, "out");
  std::string more = kTwoRates;
  more.replace(more.find("1e-4]"), 5, "1e-4, 1e-5]");
  run.write("s.toml", more);
  const CommandResult refused = sweep(run, "s.toml", "out");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("was begun from another sweep; --extend goes on with this one"));
  EXPECT_THAT(refused.err, HasSubstr("- \"train.optimizer.lr\" = [1e-3, 1e-4]"));
  EXPECT_THAT(refused.err, HasSubstr("+ trial lr=1e-05 seed=0"));
  const CommandResult extended = sweep(run, "s.toml", "out", {"--extend"});
  ASSERT_EQ(extended.exit_code, 0) << extended.err;
  const std::set<std::string> after = ids_of(run, "out");
  EXPECT_EQ(after.size(), 6u);
  for (const std::string& id : before) {
    EXPECT_EQ(after.count(id), 1u);
    EXPECT_EQ(split(run.bytes("out/state/" + id + ".claim"), '\n').size(), 3u) << "done trials stay done: one start, one end";
  }
}

TEST(SweepCli, stages_that_begin_alike_are_trained_once_and_change_no_bit) {
  const DistillRun run("sweep_shared");
  write_sweep_base(run, 2,
                   "[[stage]]\nsteps = 3\nprune = { use = \"espalier.prune.first-k\", keep = 3 }\n"
                   "[[stage]]\nsteps = 2\nprune = { use = \"espalier.prune.first-k\", keep = 2 }\n");
  run.write("s.toml",
            "base = \"recipe.toml\"\n[grid]\n\"loss.2.weight\" = [0.1, 0.2, 0.3]\n\"loss.2.stages\" = [[1]]\n"
            "[objective]\nmetric = \"output\"\n[workers]\nreports = false\nkeep_checkpoints = true\n");
  const CommandResult result = sweep(run, "s.toml", "out", {"--jobs", "2"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  int from_others = 0;
  for (const nlohmann::json& row : sweep_rows(run, "out")) {
    const std::string id = row["id"], weight = row["settings"]["loss.2.weight"].dump();
    const CommandResult alone = run.run("alone-" + id, {"--set", "loss.2.weight=" + weight, "--set", "loss.2.stages=[1]"});
    ASSERT_EQ(alone.exit_code, 0) << alone.err;
    for (const char* file : {"/metrics.jsonl", "/plan.toml", "/manifest.json"})
      EXPECT_EQ(run.bytes("out/trials/" + id + file), run.bytes("alone-" + id + file)) << file;
    EXPECT_EQ(run.bytes(run.weights_of("out/trials/" + id)), run.bytes(run.weights_of("alone-" + id)));
    from_others +=
        run.bytes("out/state/" + id + ".log").find("its first 1 stage is trained already") != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(from_others, 2);
  EXPECT_THAT(sweep(run, "s.toml", "", {"--dry-run"}).out,
              HasSubstr("6 of them in stages that are trained once for several trials"));
}

TEST(SweepCli, a_trial_that_fails_is_tried_again_then_reported_and_the_others_go_on) {
  const DistillRun run("sweep_failing");
  write_sweep_base(run);
  run.write("s.toml",
            "base = \"recipe.toml\"\n[grid]\n\"train.optimizer.lr\" = [1e-3, 1e3, 1e-4]\n\"train.clip_norm\" = [1e12]\n"
            "[objective]\nmetric = \"output\"\n[workers]\nretries = 1\nreports = false\n");
  const CommandResult result = sweep(run, "s.toml", "out");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("failed: "));
  EXPECT_THAT(result.err, HasSubstr("is not finite"));
  int complete = 0;
  for (const nlohmann::json& row : sweep_rows(run, "out")) {
    complete += row["state"] == "complete" ? 1 : 0;
    if (row["state"] != "failed") continue;
    EXPECT_EQ(row["settings"]["train.optimizer.lr"], 1000.0);
    EXPECT_EQ(row["failures"], 2);
    EXPECT_THAT(row["cause"].get<std::string>(), HasSubstr("is not finite"));
  }
  EXPECT_EQ(complete, 2);
}

TEST(SweepCli, fail_fast_stops_at_the_first_failure_and_a_retry_begins_it_anew) {
  const DistillRun run("sweep_fast");
  write_sweep_base(run);
  run.write("s.toml",
            "base = \"recipe.toml\"\n[grid]\n\"train.optimizer.lr\" = [1e3, 1e-3, 1e-4]\n\"train.clip_norm\" = [1e12]\n"
            "[objective]\nmetric = \"output\"\n[workers]\nretries = 0\non_failure = \"fail-fast\"\nreports = false\n");
  const CommandResult result = sweep(run, "s.toml", "out");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("the sweep stops, as [workers] on_failure = \"fail-fast\" asks"));
  size_t complete = 0;
  for (const nlohmann::json& row : sweep_rows(run, "out")) complete += row["state"] == "complete" ? 1 : 0;
  EXPECT_LT(complete, 2u);
  const CommandResult again = sweep(run, "s.toml", "out", {"--retry-failed"});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_THAT(again.err, HasSubstr("is not finite"));
}

TEST(SweepCli, a_worker_that_cannot_begin_fails_its_trials_after_their_retries_with_the_end_of_its_log) {
  const DistillRun run("sweep_no_worker");
  write_sweep_base(run);
  run.write("s.toml", std::string(kTwoRates) + "retries = 1\n");
  run.write("espalier.sh", "#!/bin/sh\nexit 9\n");
  const CommandResult result = sweep(
      run, "s.toml", "out", {"--launcher", "command", "--command", "sh " + run.path("espalier.sh").string() + " {command}"});
  EXPECT_EQ(result.exit_code, 1);
  for (const nlohmann::json& row : sweep_rows(run, "out")) {
    EXPECT_EQ(row["state"], "failed");
    EXPECT_EQ(row["failures"], 2);
    EXPECT_THAT(row["cause"].get<std::string>(), HasSubstr("its worker ended with exit code 9"));
  }
}

TEST(SweepCli, a_joiner_that_lacks_a_plugin_stops_and_fails_no_trial) {
  const DistillRun run("sweep_joiner");
  write_sweep_base(run);
  run.write("s.toml", std::string(kTwoRates) + "on_failure = \"fail-fast\"\nretries = 0\n");
  // Begun and left: every trial is still to be run.
  ASSERT_EQ(sweep(run, "s.toml", "out", {"--launcher", "command", "--command", "false {command}"}).exit_code, 1);
  ASSERT_EQ(sweep(run, "s.toml", "", {"--dry-run"}).exit_code, 0);
  std::filesystem::create_directories(run.path("bin"));
  std::filesystem::copy_file(kEspalier, run.path("bin/espalier"));
  const CommandResult joiner =
      run_command({run.path("bin/espalier").string(), "work", run.path("out").string(), "--backend", "reference"});
  EXPECT_EQ(joiner.exit_code, 2);
  EXPECT_THAT(joiner.err, HasSubstr("no loss 'espalier.loss.task'"));
  int failed = 0;
  for (const nlohmann::json& row : sweep_rows(run, "out")) failed += row["state"] == "failed" ? 1 : 0;
  EXPECT_EQ(failed, 1) << "the one of the controller";
  EXPECT_EQ(run_espalier({"work", run.path("out").string()}).exit_code, 0);
}

TEST(SweepCli, ctrl_c_at_a_terminal_leaves_checkpoints_and_the_same_line_goes_on) {
  const DistillRun run("sweep_ctrl_c");
  write_sweep_base(run, 400);
  run.write("s.toml", kTwoRates);
  const auto trials_begun = [&] {
    int count = 0;
    std::error_code none;
    for (const auto& trial : std::filesystem::directory_iterator(run.path("out/trials"), none))
      count += std::filesystem::exists(trial.path() / "metrics.jsonl") ? 1 : 0;
    return count;
  };
  for (int round = 0; round < 2; ++round) {
    SweepProcess process(run, "s.toml", "out", 2);
    while (!process.ended() && (trials_begun() < 2 || process.workers().size() < 2))
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    process.ctrl_c();
    EXPECT_EQ(process.exit_code(), 3);
  }
  EXPECT_THAT(run.bytes("controller.log"), HasSubstr("stopped; the same command goes on from there"));
  int stopped = 0, checkpoints = 0;
  for (const nlohmann::json& row : sweep_rows(run, "out")) {
    const std::string id = row["id"];
    for (const std::string& line : split(run.bytes("out/state/" + id + ".claim"), '\n'))
      stopped += line.find("\"end\":\"stopped\"") != std::string::npos ? 1 : 0;
    checkpoints += run.checkpoints("out/trials/" + id).empty() ? 0 : 1;
  }
  EXPECT_GE(stopped, 3) << "workers were asked once and had the time to write";
  EXPECT_EQ(checkpoints, 2);
}

TEST(SweepCli, a_second_controller_is_refused_and_changes_nothing) {
  const DistillRun run("sweep_second");
  write_sweep_base(run);
  run.write("s.toml", kTwoRates);
  ASSERT_EQ(sweep(run, "s.toml", "out").exit_code, 0);
  std::string other = kTwoRates;
  other.replace(other.find("1e-4]"), 5, "1e-5]");
  run.write("t.toml", other);
  const std::string before = run.bytes("out/list.jsonl");
  const CommandResult second = run_command({"/usr/bin/flock", run.path("out/state/controller").string(), kEspalier, "sweep",
                                            run.path("t.toml").string(), "--out", run.path("out").string(), "--extend"});
  EXPECT_EQ(second.exit_code, 2);
  EXPECT_THAT(second.err, HasSubstr("another espalier sweep looks after this folder"));
  EXPECT_EQ(run.bytes("out/list.jsonl"), before);
  const CommandResult extended = sweep(run, "t.toml", "out", {"--extend"});
  EXPECT_EQ(extended.exit_code, 0) << extended.err;
  EXPECT_THAT(extended.err, HasSubstr("2 done trials are not in the file any more; they stay in the tables"));
  EXPECT_EQ(sweep_rows(run, "out").size(), 6u);
  EXPECT_EQ(sweep(run, "t.toml", "out").exit_code, 0) << "done trials besides are no change of the file";
}

TEST(SweepCli, data_that_was_replaced_at_its_path_is_noticed) {
  const DistillRun run("sweep_inputs");
  std::filesystem::copy_file(kDistillCase + "/step_0.safetensors", run.path("batch.safetensors"));
  run.write_recipe("[train]\nbatch_size = 2\nsteps = 2\n", "[data]\nsource = \"tensors\"\nfiles = [\"batch.safetensors\"]\n");
  run.write("s.toml", kTwoRates);
  ASSERT_EQ(sweep(run, "s.toml", "out").exit_code, 0);
  std::filesystem::copy_file(kDistillCase + "/step_1.safetensors", run.path("batch.safetensors"),
                             std::filesystem::copy_options::overwrite_existing);
  std::string more = kTwoRates;
  more.replace(more.find("1e-4]"), 5, "1e-4, 1e-5]");
  run.write("s.toml", more);
  const CommandResult result = sweep(run, "s.toml", "out", {"--extend"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("batch.safetensors] is not what it was when the sweep in"));
}

TEST(SweepCli, losses_that_vary_need_an_objective) {
  const DistillRun run("sweep_objective");
  write_sweep_base(run);
  run.write("s.toml", "base = \"recipe.toml\"\n[grid]\n\"loss.1.weight\" = [0.0, 1.0]\n");
  const CommandResult result = sweep(run, "s.toml", "", {"--dry-run"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("their totals say nothing of each other; give an [objective]"));
}

}  // namespace
}  // namespace espalier::testing
