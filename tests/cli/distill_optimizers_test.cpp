// Every optimizer that a recipe can ask for, as a run uses it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/distill_kill.h"

namespace espalier {
namespace {

using testing::CommandResult;
using testing::DistillRun;
namespace fs = std::filesystem;

std::string recipe(const std::string& optimizer) {
  return "[student]\nmodel = \"" + testing::kDistillCase +
         "/student/unet\"\n[train]\nsteps = 20\nbatch_size = 2\nclip_norm = 1.0\ncheckpoint_every = 5\n[train.ema]\ndecay = 0.9\n"
         "[train.optimizer]\nuse = \"" +
         optimizer + "\"\n";
}

class DistillOptimizers : public ::testing::TestWithParam<std::string> {};

TEST_P(DistillOptimizers, lowers_the_loss_on_batches_that_come_again) {
  DistillRun run("lower_" + GetParam());
  run.write_recipe(recipe(GetParam()));
  const CommandResult result = run.run("run");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto rows = run.rows("run");
  ASSERT_EQ(rows.size(), 20u);
  double first = 0, last = 0;
  for (size_t i = 0; i < 5; ++i) first += rows[i]["total"].get<double>(), last += rows[15 + i]["total"].get<double>();
  EXPECT_LT(last, 0.97 * first);
  std::printf("%s: total over the five batches %.4f -> %.4f\n", GetParam().c_str(), first / 5, last / 5);
}

TEST_P(DistillOptimizers, goes_on_from_a_checkpoint_to_the_same_bits) {
  DistillRun run("resume_" + GetParam());
  run.write_recipe(recipe(GetParam()));
  ASSERT_EQ(run.run("whole").exit_code, 0);
  fs::copy(run.path("whole"), run.path("broken"), fs::copy_options::recursive);
  for (const char* made : {"manifest.json", "student", "student-ema", "plan.toml"}) fs::remove_all(run.path("broken") / made);
  ASSERT_GE(run.checkpoints("broken").size(), 2u);
  fs::remove_all(run.checkpoints("broken").back());
  const CommandResult result = run.run("broken", {"--resume"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  testing::expect_same_run(run, "whole", "broken");
}

INSTANTIATE_TEST_SUITE_P(All, DistillOptimizers, ::testing::Values("adamw", "adamw8bit", "adafactor"));

TEST(DistillOptimizers, moments_of_one_byte_lead_where_whole_ones_do) {
  DistillRun run("eight");
  for (const char* optimizer : {"adamw", "adamw8bit"}) {
    run.write_recipe(recipe(optimizer));
    ASSERT_EQ(run.run(optimizer).exit_code, 0);
  }
  const auto initial = io::open_weights(testing::kDistillCase + "/student/unet");
  const auto whole = io::open_weights(run.path("adamw/student/unet")),
             eight = io::open_weights(run.path("adamw8bit/student/unet"));
  double apart = 0, moved = 0;
  size_t differ = 0;
  for (const std::string& name : initial->names()) {
    const std::vector<float> a = io::read_f32(whole->get(name)), b = io::read_f32(eight->get(name));
    apart += std::pow(testing::distance(a, b), 2);
    moved += std::pow(testing::distance(a, io::read_f32(initial->get(name))), 2);
    differ += a != b;
  }
  std::printf("after 20 steps: apart by %.3f of the way\n", std::sqrt(apart / moved));
  EXPECT_GT(differ, 0u) << "some tensor keeps its moments as bytes";
  EXPECT_LT(std::sqrt(apart / moved), 0.2);
}

}  // namespace
}  // namespace espalier
