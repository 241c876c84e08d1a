// `use = "file:my_loss.eir"`: a loss that no compiler has seen.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/distill_kill.h"

namespace espalier {
namespace {

using testing::CommandResult;
using testing::DistillRun;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr const char* kFeatures = R"(// Mean squared difference of each pair.
graph @feature(%teacher, %student) {
  %d = sub %student, %teacher
  %s = square %d
  %term = reduce_mean %s
  return %term
}
)";

void write_recipe(const DistillRun& run, const std::string& loss) {
  run.write("recipe.toml", "[teacher]\nmodel = \"" + testing::kDistillCase + "/teacher/unet\"\n" + DistillRun::data() +
                               "[[loss]]\nuse = \"espalier.loss.task\"\n[[loss]]\n" + loss +
                               "[train]\nsteps = 3\nbatch_size = 2\ncheckpoint_every = 1\n"
                               "[[stage]]\nsteps = 3\nprune = { use = \"espalier.prune.first-k\", keep = 2 }\n");
}

TEST(TextLoss, of_features_trains_to_the_bits_of_the_plugin_that_computes_the_same) {
  DistillRun run("text_features");
  run.write("feature.eir", kFeatures);
  write_recipe(run, "use = \"file:feature.eir\"\nweight = 0.5\n");
  const CommandResult text = run.run("text", {"--no-report"});
  ASSERT_EQ(text.exit_code, 0) << text.err;
  write_recipe(run, "use = \"espalier.loss.feature-kd\"\npairs = \"sub-block\"\nweight = 0.5\n");
  ASSERT_EQ(run.run("plugin", {"--no-report"}).exit_code, 0);
  EXPECT_EQ(run.bytes("text/metrics.jsonl"), run.bytes("plugin/metrics.jsonl"));
  EXPECT_EQ(run.bytes(run.weights_of("text")), run.bytes(run.weights_of("plugin")));
  EXPECT_THAT(run.bytes("text/metrics.jsonl"), HasSubstr("\"feature/down_blocks.0.resnets.0\""));
}

TEST(TextLoss, every_fault_is_said_at_once_with_its_place_before_anything_runs) {
  DistillRun run("text_faults");
  run.write("bad.eir",
            "graph @bad(%output, %teachr_output) {\n  %d = sbu %output, %output\n  %e = sub %output, %nothing\n"
            "  %f = square %output : f32[2]\n  %g = reduce_mean %output {axis=[1]}\n  return %g\n}\n");
  write_recipe(run, "use = \"file:bad.eir\"\nsize = 3\n");
  const CommandResult result = run.run("out");
  EXPECT_EQ(result.exit_code, 2);
  for (const char* fault :
       {"bad.eir:1:21: there is no input 'teachr_output'; did you mean 'teacher_output'",
        "bad.eir:2:8: unknown op 'sbu'; did you mean 'sub'", "bad.eir:3:21: unknown value '%nothing'",
        "bad.eir:4:23: no types are written here", "bad.eir:5:29: [reduce_mean] unknown attribute 'axis'; did you mean 'axes'",
        "recipe.toml:10:8: file:", "has no parameter 'size'"})
    EXPECT_THAT(result.err, HasSubstr(fault));
  EXPECT_FALSE(fs::exists(run.path("out")));

  write_recipe(run, "use = \"file:gone.eir\"\n");
  const CommandResult gone = run.run("out");
  EXPECT_EQ(gone.exit_code, 2);
  EXPECT_THAT(gone.err, HasSubstr("recipe.toml:9:7: 'gone.eir' is not there (looked for "));
}

TEST(TextLoss, a_run_does_not_go_on_with_a_text_that_has_changed) {
  DistillRun run("text_changed");
  run.write("feature.eir", kFeatures);
  write_recipe(run, "use = \"file:feature.eir\"\n");
  ASSERT_EQ(run.run("out", {"--no-report"}).exit_code, 0);
  for (const char* made : {"manifest.json", "student", "plan.toml"}) fs::remove_all(run.path("out") / made);
  fs::remove_all(run.checkpoints("out").back());
  std::string other = kFeatures;
  other.replace(other.find("square"), 6, "abs");
  run.write("feature.eir", other);
  const CommandResult result = run.run("out", {"--resume", "--no-report"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("the text of loss 1"));
}

TEST(TextLoss, several_outputs_are_terms_by_their_names) {
  DistillRun run("text_terms");
  run.write("two.eir",
            "graph @two(%output, %target, %alpha_bar) {\n  %d = sub %output, %target\n  %s = square %d\n  %a = abs %d\n"
            "  %l2 = reduce_mean %s\n  %l1 = reduce_mean %a\n  return %l2, %l1\n}\n");
  write_recipe(run, "use = \"file:two.eir\"\nname = \"both\"\n");
  const CommandResult result = run.run("out", {"--no-report"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const nlohmann::json& row : run.rows("out")) {
    EXPECT_FLOAT_EQ(row["both/l2"].get<float>(), row["task"].get<float>());
    EXPECT_GT(row["both/l1"].get<float>(), 0);
  }
}

}  // namespace
}  // namespace espalier
