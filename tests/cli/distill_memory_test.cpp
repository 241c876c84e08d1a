// What a dry run says of memory is what the run takes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/rng.h"
#include "core/io/safetensors_writer.h"
#include "tests/support/distill_run.h"

namespace espalier {
namespace {

using testing::CommandResult;
using testing::DistillRun;

constexpr double kMiB = 1 << 20;

/// A batch for the emoji teacher, of noise.
void write_batch(const std::filesystem::path& file, int64_t n) {
  io::MemoryTensorSource batch;
  uint64_t stream = 0;
  const auto add = [&](const char* name, const Shape& shape) {
    std::vector<float> values(static_cast<size_t>(shape.elements()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(rng::normal(1, stream, i));
    batch.add_f32(name, shape, values);
    ++stream;
  };
  add("latents", {n, 12, 16, 16});
  add("noise", {n, 12, 16, 16});
  add("encoder_hidden_states", {n, 12, 64});
  add("text_embeds", {n, 128});
  batch.add_f32("time_ids", {n, 6}, std::vector<float>(static_cast<size_t>(n) * 6, 32));
  batch.add_f32("timestep", {n}, std::vector<float>(static_cast<size_t>(n), 500));
  io::write_safetensors(file, batch);
}

/// The MiB that follow `before` in a dry run's text.
double mib_after(const std::string& text, const std::string& before) {
  const size_t at = text.find(before);
  if (at == std::string::npos) return -1;
  size_t used = 0;
  const double value = std::stod(text.substr(at + before.size()), &used);
  return text.compare(at + before.size() + used, 4, " MiB") == 0 ? value : -1;
}

/// `more` follows [train]; the last stage prunes.
void write_recipe(const DistillRun& run, int64_t batch, const std::string& more = "") {
  write_batch(run.path("batch.safetensors"), batch);
  run.write("recipe.toml", "[teacher]\nmodel = \"" ESPALIER_SOURCE_DIR
                           "/examples/emoji/teacher\"\n[data]\nsource = \"tensors\"\nfiles = [\"batch.safetensors\"]\n" +
                               std::string(DistillRun::kLosses) + "[train]\nbatch_size = " + std::to_string(batch) + "\n" + more +
                               "[[stage]]\nsteps = 2\nprune = { use = \"espalier.prune.ssd-1b\" }\n");
}

TEST(DistillMemory, a_run_that_will_not_fit_is_refused_with_the_sum) {
  DistillRun run("refused");
  write_recipe(run, 128);
  for (const std::string& more : {std::string("--dry-run"), "--out '" + run.path("run").string() + "'"}) {
    const CommandResult result = testing::run_command({"/bin/sh", "-c",
                                                       "ulimit -v 1200000; exec '" ESPALIER_BUILD_DIR "/bin/espalier' distill '" +
                                                           run.path("recipe.toml").string() + "' " + more});
    EXPECT_EQ(result.exit_code, 2) << result.out << result.err;
    EXPECT_THAT(result.err,
                ::testing::ContainsRegex("\\[memory\\] the run needs at least [0-9.]+ GiB, and [0-9.]+ [MG]iB can be had"));
    EXPECT_THAT(result.err, ::testing::HasSubstr("values of forward and backward"));
    EXPECT_THAT(result.err, ::testing::HasSubstr("recompute_above_mib"));
    EXPECT_FALSE(std::filesystem::exists(run.path("run/student")));
  }
}

/// Shows and runs the recipe: what is counted and what the dry run takes itself are within a tenth of what the run takes.
void expect_counted(const DistillRun& run, const std::string& name, const std::vector<std::string>& sets = {}) {
  std::vector<std::string> dry_sets{"--dry-run"};
  dry_sets.insert(dry_sets.end(), sets.begin(), sets.end());
  const CommandResult dry = run.run("none", dry_sets);
  ASSERT_EQ(dry.exit_code, 0) << dry.err;
  const CommandResult real = run.run(name, sets);
  ASSERT_EQ(real.exit_code, 0) << real.err;
  const double counted = mib_after(dry.out, "sum"), measured = mib_after(dry.out, "peak memory "),
               taken = static_cast<double>(real.peak_rss_bytes) / kMiB;
  std::printf("%s: counted %.1f MiB, measured %.1f MiB, taken %.1f MiB\n", name.c_str(), counted, measured, taken);
  EXPECT_NEAR(counted, taken, 0.1 * taken) << dry.out;
  EXPECT_NEAR(measured, taken, 0.1 * taken) << dry.out;
}

TEST(DistillMemory, a_dry_run_counts_and_measures_within_a_tenth_of_what_the_run_takes) {
  DistillRun run("memory");
  write_recipe(run, 16);
  for (const char* optimizer : {"adamw", "adamw8bit"})
    expect_counted(run, optimizer, {"--set", std::string("train.optimizer.use=") + optimizer});
}

constexpr const char* kEma = "[train.ema]\ndecay = 0.99\n";

TEST(DistillMemory, a_small_batch_with_an_average_and_the_moment_of_pruning_are_counted_too) {
  DistillRun run("pruning");
  write_recipe(run, 1, kEma);
  expect_counted(run, "small");
  // A whole teacher that was trained is there beside what the second stage leaves of it: more than either trains with.
  write_recipe(run, 1, std::string(kEma) + "[[stage]]\nsteps = 1\n");
  const CommandResult dry = run.run("none", {"--dry-run"}), real = run.run("late");
  ASSERT_EQ(real.exit_code, 0) << real.err;
  EXPECT_THAT(dry.out, ::testing::HasSubstr("student before stage 1 prunes it: weights, gradients, optimizer, average"));
  const double counted = mib_after(dry.out, "sum"), taken = static_cast<double>(real.peak_rss_bytes) / kMiB;
  std::printf("late: counted %.1f MiB, taken %.1f MiB\n", counted, taken);
  EXPECT_NEAR(counted, taken, 0.1 * taken) << dry.out;
}

}  // namespace
}  // namespace espalier
