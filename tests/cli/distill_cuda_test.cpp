// `espalier distill` on a device with memory of its own: the cuda backend with a double in place of NVIDIA's libraries.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/distill_kill.h"

namespace espalier {
namespace {

using testing::CommandResult;
using testing::DistillRun;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

const std::string kDouble = ESPALIER_BUILD_DIR "/test_plugins/cuda_double.esp.so";
const std::vector<std::string> kOnCuda{"--plugin", kDouble, "--backend", "cuda", "--no-report"};

std::vector<std::string> on_cuda(std::vector<std::string> more) {
  more.insert(more.end(), kOnCuda.begin(), kOnCuda.end());
  return more;
}

/// Two stages, the second of which prunes what the first has trained.
std::string recipe(const std::string& optimizer, const std::string& train = "") {
  return "[train]\nbatch_size = 2\nclip_norm = 1.0\ncheckpoint_every = 1\n" + train +
         "[train.ema]\ndecay = 0.9\n[train.optimizer]\nuse = \"" + optimizer +
         "\"\nlr = 1e-3\n[[stage]]\nsteps = 1\nprune = { use = \"espalier.prune.first-k\", keep = 2 }\n"
         "[[stage]]\nsteps = 2\nprune = { use = \"espalier.prune.magnitude\", keep = 1 }\n";
}

void expect_near_runs(const DistillRun& run, const std::string& a, const std::string& b, double of_loss) {
  const auto rows = run.rows(a), others = run.rows(b);
  ASSERT_EQ(rows.size(), others.size());
  for (size_t i = 0; i < rows.size(); ++i)
    for (const auto& [key, value] : rows[i].items())
      EXPECT_NEAR(others[i][key].get<double>(), value.get<double>(), of_loss * std::abs(value.get<double>())) << i << " " << key;
  EXPECT_EQ(run.bytes(a + "/plan.toml"), run.bytes(b + "/plan.toml"));
}

class DistillCuda : public ::testing::TestWithParam<std::string> {};

TEST_P(DistillCuda, state_that_stays_on_the_device_is_trained_pruned_and_saved_as_on_the_cpu) {
  const DistillRun run("cuda_" + GetParam());
  run.write_recipe(recipe(GetParam()));
  ASSERT_EQ(run.run("cpu", {"--no-report"}).exit_code, 0);
  const CommandResult result = run.run("cuda", kOnCuda);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  expect_near_runs(run, "cpu", "cuda", 2e-3);
}

INSTANTIATE_TEST_SUITE_P(All, DistillCuda, ::testing::Values("adamw", "adamw8bit", "adafactor"));

TEST(DistillCuda, goes_on_from_a_checkpoint_to_the_same_bits) {
  const DistillRun run("cuda_resume");
  run.write_recipe(recipe("adamw8bit"));
  ASSERT_EQ(run.run("whole", kOnCuda).exit_code, 0);
  fs::copy(run.path("whole"), run.path("broken"), fs::copy_options::recursive);
  for (const char* made : {"manifest.json", "student", "student-ema", "plan.toml"}) fs::remove_all(run.path("broken") / made);
  ASSERT_GE(run.checkpoints("broken").size(), 2u);
  fs::remove_all(run.checkpoints("broken").back());
  const CommandResult result = run.run("broken", on_cuda({"--resume"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  testing::expect_same_run(run, "whole", "broken");
}

TEST(DistillCuda, batches_norms_and_updates_are_replayed_as_recorded_and_give_the_bits_of_runs_step_by_step) {
  const DistillRun run("cuda_graphs");
  run.write_recipe(
      "[train]\nsteps = 5\nbatch_size = 2\nclip_norm = 1.0\nprecision = \"bf16\"\n[train.optimizer]\nuse = \"adamw8bit\"\n"
      "[[stage]]\nsteps = 5\nprune = { use = \"espalier.prune.first-k\", keep = 1 }\n");
  const fs::path log = run.path("log");
  setenv("ESPALIER_CUDA_DOUBLE_LOG", log.c_str(), 1);
  const CommandResult replayed = run.run("replayed", kOnCuda);
  unsetenv("ESPALIER_CUDA_DOUBLE_LOG");
  ASSERT_EQ(replayed.exit_code, 0) << replayed.err;
  const CommandResult stepped = run.run("stepped", on_cuda({"--backend-set", "graphs=false"}));
  ASSERT_EQ(stepped.exit_code, 0) << stepped.err;
  testing::expect_same_run(run, "replayed", "stepped");
  std::ifstream in(log);
  std::map<size_t, int> replays;  // launches of a recording → how often
  for (auto [word, launches] = std::pair<std::string, size_t>(); in >> word >> launches;) ++replays[launches];
  // A run that has uploaded nothing is recorded when it comes again: the batch's first uploads the teacher, that of the norms and
  // that of the update the tensors' addresses. Norms and update take two launches each, for all tensors.
  for (const auto& [launches, times] : replays) std::printf("%zu launches, replayed %d times\n", launches, times);
  ASSERT_EQ(replays.size(), 2u);
  EXPECT_EQ(replays[2], 2 * 3);  // of 5 steps
  EXPECT_EQ(replays.rbegin()->second, 3);
}

TEST(DistillCuda, gradients_of_several_batches_are_summed_on_the_device) {
  const DistillRun run("cuda_accumulate");
  run.write_recipe(recipe("adamw", "accumulate = 2\n"));
  ASSERT_EQ(run.run("cpu", {"--no-report"}).exit_code, 0);
  const CommandResult result = run.run("cuda", kOnCuda);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  expect_near_runs(run, "cpu", "cuda", 2e-3);
}

TEST(DistillCuda, in_bf16_the_losses_are_those_of_f32_to_two_digits_and_masters_move_by_less_than_bf16_can_hold) {
  const DistillRun run("cuda_bf16");
  run.write_recipe(recipe("adamw", "precision = \"bf16\"\n"));
  ASSERT_EQ(run.run("f32", {"--no-report", "--set", "train.precision=f32"}).exit_code, 0);
  const CommandResult result = run.run("bf16", kOnCuda);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto rows = run.rows("f32"), others = run.rows("bf16");
  ASSERT_EQ(rows.size(), others.size());
  for (size_t i = 0; i < rows.size(); ++i)
    EXPECT_NEAR(others[i]["total"].get<double>(), rows[i]["total"].get<double>(), 2e-2 * rows[i]["total"].get<double>()) << i;
  const auto trained = io::open_weights(run.path("bf16/student/unet"));
  size_t finer = 0;
  for (const std::string& name : trained->names()) {
    const io::TensorRef tensor = trained->get(name);
    const auto* bits = reinterpret_cast<const uint32_t*>(tensor.bytes.data());
    for (size_t i = 0; i < tensor.bytes.size() / 4; ++i) finer += (bits[i] & 0xffff) != 0;
  }
  EXPECT_GT(finer, 1000u);
}

TEST(DistillCuda, a_backend_without_kernels_for_the_precision_is_refused_by_name_before_anything_runs) {
  const DistillRun run("cuda_precision");
  run.write_recipe(recipe("adamw", "precision = \"bf16\"\n"));
  const CommandResult result = run.run("cpu");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("[precision] cpu has no kernels in bf16 for what follows"));
  EXPECT_THAT(result.err, HasSubstr("  conv2d: operand 0 is not f32"));
  EXPECT_FALSE(fs::exists(run.path("cpu")));
}

TEST(DistillCuda, what_a_described_device_would_hold_is_planned_and_nothing_is_run_on_it) {
  const DistillRun run("cuda_described");
  run.write_recipe(recipe("adamw8bit", "precision = \"bf16\"\nrecompute_above_mib = 0\n"));
  const CommandResult planned = run.run("out", on_cuda({"--dry-run", "--device", "H100-80GB"}));
  ASSERT_EQ(planned.exit_code, 0) << planned.err;
  EXPECT_THAT(planned.out, HasSubstr("memory of the device, H100-80GB: compute capability 9.0"));
  EXPECT_THAT(planned.out, HasSubstr("teacher's weights, as they are computed with"));
  EXPECT_THAT(planned.out, HasSubstr("nothing was run: H100-80GB"));
  const CommandResult run_it = run.run("out", on_cuda({"--device", "H100-80GB"}));
  EXPECT_EQ(run_it.exit_code, 2);
  EXPECT_THAT(run_it.err, HasSubstr("it serves --dry-run"));
  const CommandResult unknown = run.run("out", on_cuda({"--dry-run", "--device", "H100-81GB"}));
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("there is no device 'H100-81GB'; did you mean 'H100-80GB'"));
  EXPECT_FALSE(fs::exists(run.path("out")));
}

}  // namespace
}  // namespace espalier
