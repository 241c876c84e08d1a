// Sweeps whose trials share what the teacher made ([share]): the same bits, less work.

#include <gmock/gmock.h>

#include "core/base/text.h"
#include "tests/support/distill_kill.h"
#include "tests/support/sweep_kill.h"

namespace espalier::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kRates =
    "base = \"recipe.toml\"\n[grid]\n\"train.optimizer.lr\" = [1e-3, 1e-4]\n[workers]\nreports = false\n";

std::string share(const std::string& values, const std::string& more = "") {
  return std::string(kRates) + "[share]\nteacher_values = \"" + values + "\"\n" + more;
}

/// Runs kRates without and with [share].
void expect_same_with(const DistillRun& run, const std::string& shared, const std::vector<std::string>& more = {"--jobs", "1"}) {
  run.write("plain.toml", kRates);
  run.write("shared.toml", shared);
  const CommandResult plain = sweep(run, "plain.toml", "plain", more), with = sweep(run, "shared.toml", "shared", more);
  ASSERT_EQ(plain.exit_code, 0) << plain.err;
  ASSERT_EQ(with.exit_code, 0) << with.err;
  expect_same_sweep(run, "plain", "shared");
}

/// What the trials' logs say of the teacher, a trial each, in the file's order.
std::vector<std::string> tallies(const DistillRun& run, const std::string& out) {
  std::vector<std::string> said;
  for (const nlohmann::json& row : sweep_rows(run, out)) {
    said.emplace_back();
    for (const std::string& line : split(run.bytes(out + "/state/" + row["id"].get<std::string>() + ".log"), '\n'))
      if (const size_t at = line.find("the teacher's values of "); at != std::string::npos) said.back() += line.substr(at) + "\n";
  }
  return said;
}

std::string tally(int read, int computed, int kept, const std::string& more = "") {
  return "the teacher's values of " + std::to_string(read) + " batches were read, of " + std::to_string(computed) +
         " computed (" + std::to_string(kept) + " kept" + more + ")\n";
}

std::vector<std::filesystem::path> kept_files(const DistillRun& run, const std::string& out) {
  std::vector<std::filesystem::path> files;
  std::error_code fault;
  for (std::filesystem::recursive_directory_iterator at(run.path(out + "/shared/teacher"), fault), end; !fault && at != end;
       at.increment(fault))
    if (at->path().extension() == ".safetensors" && at->path().filename().string()[0] != '.') files.push_back(at->path());
  return files;
}

const std::string kTwoStages =
    "[[stage]]\nsteps = 2\nprune = { use = \"espalier.prune.first-k\", keep = 3 }\n"
    "[[stage]]\nsteps = 2\nprune = { use = \"espalier.prune.first-k\", keep = 1 }\n";

TEST(SweepTeacherValues, later_trials_compute_none_of_them_and_no_bit_changes) {
  const DistillRun run("values_same");
  run.write_recipe("[train]\nbatch_size = 2\naccumulate = 2\nrecompute_above_mib = 0\nclip_norm = 1.0\n" + kTwoStages);
  expect_same_with(run, share("f32"));
  const std::vector<std::string> said = tallies(run, "shared");
  EXPECT_EQ(said[0], tally(0, 4, 4) + tally(0, 4, 4));
  EXPECT_EQ(said[1], tally(4, 0, 0) + tally(4, 0, 0));
  EXPECT_EQ(tallies(run, "plain")[1], "");
  EXPECT_TRUE(std::filesystem::is_empty(run.path("shared/shared"))) << "it goes with the sweep";
}

TEST(SweepTeacherValues, the_reference_shares_them_too) {
  const DistillRun run("values_reference");
  run.write_recipe("[train]\nbatch_size = 2\nsteps = 1\n");
  expect_same_with(run, share("f32"), {"--jobs", "1", "--backend", "reference"});
  EXPECT_EQ(tallies(run, "shared")[1], tally(1, 0, 0));
}

TEST(SweepTeacherValues, workers_that_make_them_at_once_change_no_bit) {
  const DistillRun run("values_at_once");
  run.write_recipe("[train]\nbatch_size = 2\nsteps = 6\n");
  expect_same_with(run, share("f32"), {"--jobs", "3"});
}

TEST(SweepTeacherValues, held_out_batches_are_one_for_all_seeds_and_stages_that_roll_back_change_no_bit) {
  const DistillRun run("values_held_out");
  write_resume_recipe(run);
  std::string plain = "base = \"recipe.toml\"\nrepeats = 2\n[workers]\nreports = false\n";
  run.write("plain.toml", plain);
  run.write("shared.toml", plain + "[share]\nteacher_values = \"f32\"\n");
  ASSERT_EQ(sweep(run, "plain.toml", "plain").exit_code, 0);
  const CommandResult result = sweep(run, "shared.toml", "shared");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  expect_same_sweep(run, "plain", "shared");
  const std::vector<std::string> said = tallies(run, "shared");
  EXPECT_THAT(said[0], ::testing::StartsWith(tally(6, 6, 6))) << "4 steps, two held-out batches computed once and read thrice";
  EXPECT_THAT(said[1], ::testing::StartsWith(tally(8, 4, 4))) << "another seed has other training batches";
}

TEST(SweepTeacherValues, a_sweep_that_is_killed_goes_on_to_the_same_bits) {
  const DistillRun run("values_killed");
  run.write_recipe("[train]\nbatch_size = 2\ncheckpoint_every = 2\n" + kTwoStages);
  run.write("plain.toml", kRates);
  run.write("shared.toml", share("f32"));
  ASSERT_EQ(sweep(run, "plain.toml", "plain").exit_code, 0);
  {
    SweepProcess process(run, "shared.toml", "shared", 1);
    while (!process.ended() && kept_files(run, "shared").size() < 3) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const std::vector<pid_t> workers = process.workers();
    process.kill_it();
    for (const pid_t worker : workers) kill(worker, SIGKILL);
  }
  const CommandResult result = sweep(run, "shared.toml", "shared");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  expect_same_sweep(run, "plain", "shared");
}

TEST(SweepTeacherValues, trials_that_halt_at_a_rung_and_go_on_change_no_bit) {
  const DistillRun run("values_rungs");
  run.write_recipe("[train]\nbatch_size = 2\nsteps = 4\nvalidate_every = 1\ncheckpoint_every = 1\n", small_cache(run));
  const std::string rungs = std::string(kRates) + "[stop]\nuse = \"asha\"\nmin_steps = 2\nreduction = 2\n";
  run.write("plain.toml", rungs);
  run.write("shared.toml", rungs + "[share]\nteacher_values = \"f32\"\n");
  ASSERT_EQ(sweep(run, "plain.toml", "plain").exit_code, 0);
  ASSERT_EQ(sweep(run, "shared.toml", "shared").exit_code, 0);
  const std::vector<nlohmann::json> rows = sweep_rows(run, "plain"), others = sweep_rows(run, "shared");
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string metrics = "/trials/" + rows[i]["id"].get<std::string>() + "/metrics.jsonl";
    EXPECT_EQ(rows[i]["state"], others[i]["state"]);
    EXPECT_EQ(run.bytes("plain" + metrics), run.bytes("shared" + metrics));
  }
}

TEST(SweepTeacherValues, a_full_folder_keeps_what_it_has_and_the_rest_is_computed) {
  const DistillRun run("values_full");
  run.write_recipe("[train]\nbatch_size = 2\nsteps = 5\n");
  run.write("dry.toml", share("f32"));
  const CommandResult dry = sweep(run, "dry.toml", "", {"--dry-run"});
  EXPECT_THAT(dry.out, HasSubstr("of the teacher's values as f32 for each batch, about "));
  EXPECT_THAT(dry.out, HasSubstr(" in all, at most 20.00 GiB\n"));
  expect_same_with(run, share("f32", "limit_gib = 0.0003\n"));  // 322 KB
  const std::vector<std::string> said = tallies(run, "shared");
  const std::string id = sweep_rows(run, "shared")[0]["id"], log = run.bytes("shared/state/" + id + ".log");
  EXPECT_THAT(log, HasSubstr("from here on the teacher's values are not kept"));
  EXPECT_THAT(said[0], Not(HasSubstr("(0 kept")));
  EXPECT_THAT(said[0], Not(HasSubstr("(5 kept")));
  EXPECT_THAT(said[1], Not(HasSubstr("of 0 batches were read")));
  EXPECT_THAT(said[1], Not(HasSubstr("of 0 computed")));
}

TEST(SweepTeacherValues, a_damaged_file_is_said_and_computed_anew) {
  const DistillRun run("values_damaged");
  run.write_recipe("[train]\nbatch_size = 2\nsteps = 2\n");
  const std::string rates =
      "base = \"recipe.toml\"\n[grid]\n\"train.optimizer.lr\" = [1e-3, 1e3, 1e-4]\n\"train.clip_norm\" = "
      "[1e12]\n[objective]\nmetric = \"output\"\n"
      "[workers]\nretries = 0\nreports = false\non_failure = \"fail-fast\"\n";
  run.write("s.toml", rates + "[share]\nteacher_values = \"f32\"\n");
  EXPECT_EQ(sweep(run, "s.toml", "out", {"--jobs", "1"}).exit_code, 1);
  const std::vector<nlohmann::json> rows = sweep_rows(run, "out");
  ASSERT_EQ(rows.size(), 3u);
  const nlohmann::json& last = rows[2];
  ASSERT_EQ(last["state"], "waiting");
  const std::vector<std::filesystem::path> kept = kept_files(run, "out");
  ASSERT_EQ(kept.size(), 2u);
  for (const std::filesystem::path& file : kept) {
    std::fstream bytes(file, std::ios::binary | std::ios::in | std::ios::out);
    bytes.seekp(-3, std::ios::end);
    bytes << "!";
  }
  const CommandResult work = run_espalier({"work", run.path("out").string(), "--trial", last["id"]});
  ASSERT_EQ(work.exit_code, 0) << work.err;
  EXPECT_THAT(work.err, HasSubstr("step-00000000.safetensors: damaged, and made anew"));
  EXPECT_THAT(work.err, HasSubstr(tally(0, 2, 2)));
  const CommandResult alone = run.run("alone", {"--set", "train.optimizer.lr=1e-4", "--set", "train.clip_norm=1e12"});
  ASSERT_EQ(alone.exit_code, 0) << alone.err;
  const std::string trial = "out/trials/" + last["id"].get<std::string>();
  EXPECT_EQ(run.bytes(trial + "/metrics.jsonl"), run.bytes("alone/metrics.jsonl"));
  EXPECT_EQ(run.bytes(run.weights_of(trial)), run.bytes(run.weights_of("alone")));
}

TEST(SweepTeacherValues, as_f16_they_are_rounded_in_every_trial_alike_and_each_says_so) {
  const DistillRun run("values_f16");
  run.write_recipe("[train]\nbatch_size = 2\nsteps = 3\n");
  run.write("plain.toml", kRates);
  run.write("read.toml", share("f16"));
  run.write("computed.toml", share("f16", "limit_gib = 1e-6\n"));
  ASSERT_EQ(sweep(run, "plain.toml", "plain").exit_code, 0);
  const CommandResult result = sweep(run, "read.toml", "read");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("students were compared with the teacher's values rounded to f16"));
  ASSERT_EQ(sweep(run, "computed.toml", "computed").exit_code, 0);
  expect_same_sweep(run, "read", "computed");
  EXPECT_EQ(tallies(run, "read")[1], tally(3, 0, 0, "; all rounded to f16"));
  EXPECT_EQ(tallies(run, "computed")[1], tally(0, 3, 0, "; all rounded to f16"));
  EXPECT_EQ(nlohmann::json::parse(run.bytes("read/rules.json"))["share"]["teacher_values"], "f16");
  run.write("read.toml", share("f32"));
  const CommandResult mixed = sweep(run, "read.toml", "read", {"--extend"});
  EXPECT_EQ(mixed.exit_code, 2);
  EXPECT_THAT(mixed.err, HasSubstr("rounds, and this sweep was begun with \"f16\"; begin another one for \"f32\""));
  const std::vector<nlohmann::json> exact = sweep_rows(run, "plain"), rounded = sweep_rows(run, "read");
  for (size_t i = 0; i < exact.size(); ++i) {
    const std::string trial = "/trials/" + exact[i]["id"].get<std::string>();
    EXPECT_EQ(nlohmann::json::parse(run.bytes("read" + trial + "/manifest.json"))["teacher_values"], "f16");
    EXPECT_FALSE(nlohmann::json::parse(run.bytes("plain" + trial + "/manifest.json")).contains("teacher_values"));
    EXPECT_THAT(run.bytes("read" + trial + "/README.md"),
                HasSubstr("The student was compared with the teacher's values as f16."));
    EXPECT_NE(run.bytes("plain" + trial + "/metrics.jsonl"), run.bytes("read" + trial + "/metrics.jsonl"));
    // A value is rounded by at most 2^-11 of it; a mean of squared differences of like size then moves by about as much.
    const double before = exact[i]["values"]["total"], after = rounded[i]["values"]["total"];
    EXPECT_NEAR(after, before, 1e-3 * std::fabs(before));
  }
}

}  // namespace
}  // namespace espalier::testing
