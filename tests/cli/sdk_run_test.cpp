// What a plugin may ask of a run: a schedule over stages with state, adapters that are trained, composites, logged values,
// metrics. And a pruner that is a program.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

#include "core/io/safetensors.h"
#include "tests/support/distill_kill.h"

namespace espalier {
namespace {

using testing::CommandResult;
using testing::DistillRun;
using testing::expect_same_run;
using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

const std::string kAdapter = std::string(ESPALIER_ZOO) + "/adapter_loss.esp.so";
const std::vector<std::string> kPlugin{"--plugin", kAdapter};

constexpr const char* kTrain =
    "[train]\nbatch_size = 2\ncheckpoint_every = 1\nkeep_checkpoints = 100\nvalidate_every = 2\nseed = 3\n[train.ema]\ndecay = "
    "0.9\n"
    "[train.optimizer]\nlr = 1e-2\n[calibration]\nbatches = 2\n";

/// A schedule of two stages, of which the second fails its gate, and a loss with adapters.
void write_schedule(const DistillRun& run, bool gate) {
  const std::string prune = "prune = { use = \"espalier.prune.taylor\", keep = 0.5, rounds = 2 }\n";
  run.write("recipe.toml", "[teacher]\nmodel = \"" + testing::kDistillCase + "/teacher/unet\"\n" + testing::small_cache(run) +
                               "[[loss]]\nuse = \"espalier.loss.task\"\n[[loss]]\nuse = \"espalier.loss.output-kd\"\n"
                               "[[loss]]\nuse = \"zoo.loss.adapter\"\nweight = 0.1\n"
                               "[[metric]]\nuse = \"espalier.metric.teacher-agreement\"\n" +
                               kTrain + "[[stage]]\nsteps = 2\n" + prune + "[[stage]]\nsteps = 2\n" + prune +
                               (gate ? "until = { metric = \"val/agreement\", above = 2.0 }\n" : ""));
}

CommandResult run_to(const DistillRun& run, const std::string& out, std::vector<std::string> more = {}) {
  more.insert(more.end(), kPlugin.begin(), kPlugin.end());
  more.push_back("--no-report");
  return run.run(out, more);
}

TEST(SdkRun, a_schedule_with_state_and_a_loss_with_adapters_resume_bit_for_bit_from_every_checkpoint) {
  DistillRun run("schedule");
  write_schedule(run, false);
  const CommandResult whole = run_to(run, "whole");
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  const std::vector<fs::path> checkpoints = run.checkpoints("whole");
  ASSERT_GE(checkpoints.size(), 4u);
  for (size_t kept = 1; kept < checkpoints.size(); ++kept) {
    fs::remove_all(run.path("broken"));
    fs::copy(run.path("whole"), run.path("broken"), fs::copy_options::recursive);
    for (const char* made : {"manifest.json", "student", "student-ema", "plan.toml"}) fs::remove_all(run.path("broken") / made);
    const std::vector<fs::path> there = run.checkpoints("broken");
    for (size_t i = kept; i < there.size(); ++i) fs::remove_all(there[i]);
    const CommandResult resumed = run_to(run, "broken", {"--resume"});
    ASSERT_EQ(resumed.exit_code, 0) << kept << ": " << resumed.err;
    SCOPED_TRACE(there[kept - 1].filename().string());
    expect_same_run(run, "whole", "broken");
  }
}

TEST(SdkRun, a_schedule_that_goes_back_changes_no_bit_when_it_is_killed) {
  DistillRun run("schedule_kill");
  write_schedule(run, true);
  fs::create_directories(run.path("plugins"));
  fs::copy_file(kAdapter, run.path("plugins/adapter_loss.esp.so"));
  ::setenv("ESPALIER_PLUGIN_PATH", run.path("plugins").c_str(), 1);  // for processes that are killed as well
  const CommandResult whole = run.run("whole");
  EXPECT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_THAT(whole.err, HasSubstr("stage 1: val/agreement above 2 is "));
  EXPECT_THAT(whole.err, HasSubstr("going back and removing half as much"));
  for (uint64_t kill = 0; kill < 5; ++kill)
    testing::run_and_kill(run, "broken", (0.2 + 0.15 * static_cast<double>(kill)) * whole.ms);
  const CommandResult last = run.run("broken", {"--resume"});
  EXPECT_EQ(last.exit_code, 0) << last.err;
  expect_same_run(run, "whole", "broken");
  ::unsetenv("ESPALIER_PLUGIN_PATH");
}

TEST(SdkRun, adapters_are_trained_and_kept_in_checkpoints_and_are_no_part_of_the_student) {
  DistillRun run("adapters");
  write_schedule(run, false);
  ASSERT_EQ(run_to(run, "out").exit_code, 0);
  const auto first = io::open_safetensors(run.checkpoints("out").front() / "state.safetensors");
  const auto last = io::open_safetensors(run.checkpoints("out").back() / "state.safetensors");
  size_t adapters = 0, moved = 0;
  for (const std::string& name : last->names())
    if (name.rfind("weight/loss.adapter.", 0) == 0) {
      ++adapters;
      const auto now = last->get(name).bytes;
      if (first->contains(name)) moved += !std::equal(now.begin(), now.end(), first->get(name).bytes.begin());
    }
  EXPECT_GE(adapters, 6u);
  EXPECT_GT(moved, 0u);
  const auto student = io::open_safetensors(run.path(run.weights_of("out")));
  for (const std::string& name : student->names()) EXPECT_THAT(name, Not(HasSubstr("loss.")));
  const std::string metrics = run.bytes("out/metrics.jsonl");
  EXPECT_THAT(metrics, HasSubstr("\"adapter/power/down_blocks.0\":"));
  EXPECT_THAT(metrics, HasSubstr("\"val/adapter/power/down_blocks.0\":"));
  EXPECT_THAT(metrics, HasSubstr("\"val/agreement\":"));
  EXPECT_TRUE(fs::exists(run.path("out/artifacts/stage-0/scores.csv")));
  EXPECT_TRUE(fs::exists(run.path("out/artifacts/stage-1/scores.csv")));
}

TEST(SdkRun, a_dry_run_measures_a_loss_with_parameters_and_names_that_clash_are_told) {
  DistillRun run("clashes");
  write_schedule(run, false);
  const CommandResult dry = run_to(run, "never", {"--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.err;
  EXPECT_THAT(dry.out, HasSubstr("blocks removed"));
  const std::string recipe = run.bytes("recipe.toml");
  run.write("recipe.toml", recipe + "[[loss]]\nuse = \"zoo.loss.adapter\"\n");
  const CommandResult twice = run_to(run, "never");
  EXPECT_EQ(twice.exit_code, 2);
  EXPECT_THAT(twice.err, HasSubstr("its parameter 'loss.adapter.w0' is another loss's already: give one of them another name"));
  run.write("recipe.toml", recipe + "[[metric]]\nuse = \"espalier.metric.teacher-agreement\"\nname = \"total\"\n");
  const CommandResult total = run_to(run, "never");
  EXPECT_EQ(total.exit_code, 2);
  EXPECT_THAT(total.err, HasSubstr("val/total is a loss's number: give the metric another name"));
}

TEST(SdkRun, a_composite_trains_to_the_bits_of_its_parts) {
  DistillRun run("composite");
  write_schedule(run, false);
  ASSERT_EQ(run_to(run, "regions").exit_code, 0);
  ASSERT_EQ(run_to(run, "parts", {"--set", "loss.2.composite=false"}).exit_code, 0);
  EXPECT_EQ(run.bytes("regions/metrics.jsonl"), run.bytes("parts/metrics.jsonl"));
  EXPECT_EQ(run.bytes(run.weights_of("regions")), run.bytes(run.weights_of("parts")));
}

constexpr const char* kProgram = R"(#!/usr/bin/env python3
import json, sys
question = json.loads(sys.stdin.readline())
blocks = [u for u in question["units"] if u["kind"] == "transformer-block" and u["removable"] and u["path"].startswith("up_blocks")]
print(json.dumps({"evaluate": [[{"path": b["path"], "kind": b["kind"]}] for b in blocks]}), flush=True)
scores = [s["output"] for s in json.loads(sys.stdin.readline())["evaluate"]]
left = {}
for b in blocks:
    left[b["module"]] = b["siblings"]
rows = []
for score, b in sorted(zip(scores, blocks), key=lambda pair: pair[0]):
    if left[b["module"]] > 1 and len(rows) < question["params"]["remove"]:
        left[b["module"]] -= 1
        rows.append({"path": b["path"], "kind": b["kind"], "reason": "output error %.3g" % score})
asked = int(question["state"] or "0") + 1
print(json.dumps({"rows": rows, "done": True, "notes": ["asked %d times" % asked], "state": str(asked)}), flush=True)
)";

std::string write_program(const DistillRun& run, const std::string& text) {
  run.write("chooser.py", text);
  ::chmod(run.path("chooser.py").c_str(), 0755);
  return "exec:chooser.py";
}

void write_exec_recipe(const DistillRun& run, const std::string& use) {
  static const std::string data = "[data]\nsource = \"cache\"\npath = \"cache\"\nvalidation_rows = 4\n";
  if (!fs::exists(run.path("cache"))) testing::small_cache(run);
  run.write_recipe(std::string(kTrain) + "[[stage]]\nsteps = 2\nprune = { use = \"" + use + "\", remove = 2 }\n", data);
}

TEST(SdkRun, a_program_chooses_by_scores_and_its_run_resumes) {
  DistillRun run("exec");
  write_exec_recipe(run, write_program(run, kProgram));
  const CommandResult result = run.run("out", {"--allow-exec", "--no-report"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("stage 0: 2 blocks removed"));
  EXPECT_THAT(run.bytes("out/plan.toml"), HasSubstr("output error"));
  EXPECT_THAT(run.bytes("out/plan.toml"), HasSubstr("asked 1 times"));
}

TEST(SdkRun, a_program_runs_only_with_allow_exec_and_its_faults_are_told) {
  DistillRun run("exec_faults");
  write_exec_recipe(run, write_program(run, kProgram));
  const CommandResult refused = run.run("out");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("chooser.py is a program, and one that a file names runs only with --allow-exec"));
  for (const auto& [text, fault] :
       {std::pair{"import sys\nsys.exit('no idea')", "ended without rows (exit code 1); its last words: no idea"},
        {"print('hello')", "what it says is no answer"},
        {"print('{\"rows\":[{\"path\":\"up_blocks.7\",\"kind\":\"pair\"}]}')", "removes 'up_blocks.7', which is no such unit"},
        {"print('{\"rows\":[{\"path\":\"up_blocks.0\",\"kind\":\"stag\"}]}')",
         "'stag' is no kind of unit; did you mean 'stage'?"},
        {"print('{\"evalute\":[]}')", "'evalute' is nothing that can be asked; did you mean 'evaluate'?"},
        {"print('{\"error\":\"not this model\"}')", "not this model"}}) {
    write_exec_recipe(run, write_program(run, std::string("#!/usr/bin/env python3\n") + text + "\n"));
    const CommandResult result = run.run("out", {"--allow-exec"});
    EXPECT_EQ(result.exit_code, 2) << text;
    EXPECT_THAT(result.err, HasSubstr(fault));
    EXPECT_FALSE(fs::exists(run.path("out")));
  }
}

TEST(SdkRun, every_fault_of_metrics_and_calibration_is_said_at_once) {
  DistillRun run("metric_faults");
  run.write_recipe(
      std::string("[calibration]\nbatchs = 2\n") +
      "[[metric]]\nuse = \"espalier.metric.pnsr\"\n[[metric]]\nuse = \"espalier.metric.psnr\"\nmost = 0\npicture = 3\n" +
      "[train]\nsteps = 1\nbatch_size = 2\n");
  const CommandResult result = run.run("out");
  EXPECT_EQ(result.exit_code, 2);
  for (const char* fault :
       {"[calibration] has no 'batches'", "'batchs'", "no metric 'espalier.metric.pnsr'; did you mean 'espalier.metric.psnr'",
        "'most' wants number (1 to 1000), got 0", "'picture'"})
    EXPECT_THAT(result.err, HasSubstr(fault));
}

}  // namespace
}  // namespace espalier
