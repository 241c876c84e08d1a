// What a run that is taken up again, or that cannot begin, says and leaves.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/distill_kill.h"

namespace espalier {
namespace {

using testing::CommandResult;
using testing::DistillRun;
using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

const std::string kTrain = "[train]\nsteps = 2\nbatch_size = 2\n";

void unfinish(const DistillRun& run, const std::string& out) {
  for (const char* made : {"manifest.json", "student", "plan.toml", "report.html"}) fs::remove_all(run.path(out) / made);
}

TEST(DistillGoingOn, a_teacher_with_other_weights_or_other_data_is_refused) {
  DistillRun run("inputs");
  fs::copy(testing::kDistillCase + "/teacher", run.path("teacher"), fs::copy_options::recursive);
  fs::copy(testing::kDistillCase + "/step_0.safetensors", run.path("batch.safetensors"));
  run.write("recipe.toml", std::string("[teacher]\nmodel = \"teacher/unet\"\n[data]\nsource = \"tensors\"\nfiles = "
                                       "[\"batch.safetensors\"]\n") +
                               DistillRun::kLosses + kTrain);
  ASSERT_EQ(run.run("run").exit_code, 0);
  unfinish(run, "run");
  fs::copy(testing::kDistillCase + "/step_1.safetensors", run.path("batch.safetensors"), fs::copy_options::overwrite_existing);
  CommandResult result = run.run("run", {"--resume"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("other inputs than the run began with: data;"));
  fs::copy(testing::kDistillCase + "/step_0.safetensors", run.path("batch.safetensors"), fs::copy_options::overwrite_existing);
  const fs::path weights = run.path("teacher/unet/diffusion_pytorch_model.safetensors");
  {
    std::fstream file(weights, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-2, std::ios::end);
    file.put('\x11');
  }
  result = run.run("run", {"--resume"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("other inputs than the run began with: teacher;"));
}

TEST(DistillGoingOn, a_gate_without_a_pruner_fails_once_and_is_recorded) {
  DistillRun run("gate");
  run.write_recipe("[train]\nsteps = 1\nbatch_size = 2\n[[stage]]\nuntil = { metric = \"task\", below = 1e-9 }\n");
  const CommandResult result = run.run("run");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("left out: its gate failed, and nothing is left to remove"));
  const auto manifest = nlohmann::json::parse(run.bytes("run/manifest.json"));
  ASSERT_EQ(manifest["stages"].size(), 2u);
  EXPECT_EQ(manifest["stages"][0]["outcome"], "not met: rolled back");
  EXPECT_THAT(manifest["stages"][1]["outcome"].get<std::string>(), HasSubstr("left out"));
  EXPECT_THAT(run.bytes("run/report.html"), HasSubstr("left out"));
}

TEST(DistillGoingOn, a_gate_that_stopped_a_run_stops_it_again_and_adds_no_row) {
  DistillRun run("stop");
  for (const char* metric : {"task", "val/task"}) {
    fs::remove_all(run.path("run"));
    fs::remove_all(run.path("cache"));
    run.write_recipe(kTrain + "[[stage]]\nuntil = { metric = \"" + metric + "\", below = 1e-9 }\non_fail = \"stop\"\n",
                     testing::small_cache(run));
    const CommandResult first = run.run("run");
    EXPECT_EQ(first.exit_code, 1) << first.err;
    const std::string metrics = run.bytes("run/metrics.jsonl");
    const CommandResult again = run.run("run", {"--resume"});
    EXPECT_EQ(again.exit_code, 1) << again.err;
    EXPECT_THAT(again.err, HasSubstr("which is not met, and on_fail is \"stop\""));
    EXPECT_EQ(run.bytes("run/metrics.jsonl"), metrics) << metric;
  }
}

TEST(DistillGoingOn, where_no_checkpoint_is_good_the_run_stops_and_keeps_them) {
  DistillRun run("damaged");
  run.write_recipe("[train]\nsteps = 4\nbatch_size = 2\ncheckpoint_every = 2\n");
  ASSERT_EQ(run.run("run").exit_code, 0);
  unfinish(run, "run");
  const std::string metrics = run.bytes("run/metrics.jsonl");
  const size_t count = run.checkpoints("run").size();
  for (const fs::path& checkpoint : run.checkpoints("run")) {
    std::fstream file(checkpoint / "state.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(5000);
    file.put('\x5a');
  }
  for (int tries = 0; tries < 2; ++tries) {
    const CommandResult result = run.run("run", {"--resume"});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, HasSubstr("no checkpoint is good"));
    EXPECT_EQ(run.bytes("run/metrics.jsonl"), metrics);
    EXPECT_EQ(run.checkpoints("run").size(), count);
  }
}

TEST(DistillGoingOn, a_report_never_touches_checkpoints_nor_shows_an_older_state) {
  DistillRun run("report");
  run.write_recipe("[train]\nsteps = 4\nbatch_size = 2\ncheckpoint_every = 2\n");
  ASSERT_EQ(run.run("run").exit_code, 0);
  const std::vector<fs::path> before = run.checkpoints("run");
  {
    std::fstream file(before.back() / "state.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(5000);
    file.put('\x5a');
  }
  const CommandResult result = testing::run_espalier({"report", run.path("run").string()});
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_THAT(result.err, HasSubstr("and the run ended after 4"));
  EXPECT_EQ(run.checkpoints("run"), before);
}

TEST(DistillGoingOn, a_start_that_fails_leaves_no_folder) {
  DistillRun run("start");
  run.write_recipe("[train]\nsteps = 2\nbatch_size = 3\n");  // the batches hold two samples
  EXPECT_EQ(run.run("run").exit_code, 2);
  EXPECT_FALSE(fs::exists(run.path("run")));
}

TEST(DistillGoingOn, a_student_that_was_deleted_is_written_again) {
  DistillRun run("deleted");
  run.write_recipe(kTrain);
  ASSERT_EQ(run.run("run").exit_code, 0);
  const std::string weights = run.bytes(run.weights_of("run")), metrics = run.bytes("run/metrics.jsonl");
  fs::remove_all(run.path("run/student"));
  const CommandResult result = run.run("run", {"--resume"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(run.bytes(run.weights_of("run")), weights);
  EXPECT_EQ(run.bytes("run/metrics.jsonl"), metrics);
}

}  // namespace
}  // namespace espalier
