// What a distillation refuses, when, and in which words; and what its model card and manifest say of it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/io/safetensors_writer.h"
#include "tests/support/distill_run.h"

namespace espalier {
namespace {

using testing::CommandResult;
using testing::DistillRun;
using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

/// Runs `run`'s recipe for show and for real: both refuse it with `exit_code` before the first step, in words that match.
void expect_refused_at_the_start(const DistillRun& run, const ::testing::Matcher<std::string>& words) {
  for (const CommandResult& result : {run.run("run", {"--dry-run"}), run.run("run")}) {
    EXPECT_EQ(result.exit_code, 2) << result.out << result.err;
    EXPECT_THAT(result.err, words);
  }
  EXPECT_FALSE(fs::exists(run.path("run"))) << "nothing is begun";
}

TEST(DistillFaults, a_student_that_its_files_cannot_hold_is_not_written) {
  DistillRun run("unwritable");
  run.write_recipe(
      "[train]\nsteps = 1\nbatch_size = 2\nsave_dtype = \"f16\"\n[train.ema]\ndecay = 0.9\n"
      "[train.optimizer]\nlr = 1000\nweight_decay = 1000\n");
  const CommandResult half = run.run("half");
  EXPECT_EQ(half.exit_code, 1) << half.err;
  EXPECT_THAT(half.err, ::testing::ContainsRegex("\\[[a-z_0-9.]+\\] has a weight of -?[0-9.]+, which f16 cannot hold"));
  EXPECT_THAT(half.err, HasSubstr("save_dtype = \"f32\" or \"bf16\", or with a lower [train.optimizer] lr"));
  for (const char* made : {"student", "student-ema", "manifest.json", "README.md"})
    EXPECT_FALSE(fs::exists(run.path("half") / made)) << made;
  for (const auto& entry : fs::directory_iterator(run.path("half")))
    EXPECT_THAT(entry.path().filename().string(), Not(HasSubstr("student"))) << "nothing half-written stays";

  const CommandResult wide = run.run("wide", {"--set", "train.save_dtype=bf16"});
  EXPECT_EQ(wide.exit_code, 0) << wide.err;
  EXPECT_TRUE(fs::exists(run.path("wide/student-ema/unet/config.json")));
}

TEST(DistillFaults, a_last_step_that_leaves_no_numbers_writes_no_student) {
  // A key of 1e33 makes a softmax certain and nothing infinite; times 1 - lr · weight_decay it is.
  DistillRun run("infinite");
  const std::string huge = "mid_block.attentions.0.transformer_blocks.0.attn1.to_k.weight";
  const auto teacher = io::open_weights(testing::kDistillCase + "/teacher/unet");
  io::MemoryTensorSource student;
  for (const std::string& name : teacher->names()) {
    std::vector<float> values = io::read_f32(teacher->get(name));
    if (name == huge) values[0] = 1e33f;
    student.add_f32(name, teacher->get(name).type.shape, values);
  }
  fs::create_directories(run.path("student"));
  fs::copy_file(testing::kDistillCase + "/teacher/unet/config.json", run.path("student/config.json"));
  io::write_safetensors(run.path("student/diffusion_pytorch_model.safetensors"), student);
  run.write_recipe(
      "[student]\nmodel = \"student\"\n[train]\nsteps = 1\nbatch_size = 2\n"
      "[train.optimizer]\nlr = 1000\nweight_decay = 1000\n");
  const CommandResult result = run.run("run");
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_THAT(result.err, HasSubstr("[" + huge + "] has a weight of -inf; start a new run with a lower [train.optimizer] lr"));
  EXPECT_FALSE(fs::exists(run.path("run/student")));
}

TEST(DistillFaults, a_step_that_is_not_finite_advises_what_can_be_done) {
  DistillRun run("advice");
  run.write_recipe("[train]\nsteps = 40\nbatch_size = 2\n[train.optimizer]\nlr = 1e3\n");
  const CommandResult result = run.run("run");
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_THAT(result.err, HasSubstr("start a new run with a lower [train.optimizer] lr or with [train] clip_norm"));
  EXPECT_THAT(result.err, Not(HasSubstr("go on from a checkpoint")));
}

constexpr const char* kTrain = "[train]\nsteps = 1\nbatch_size = 2\n";

TEST(DistillFaults, the_teacher_of_a_later_stage_is_opened_at_the_start) {
  DistillRun run("teacher");
  run.write_recipe(std::string(kTrain) + "[[stage]]\n[[stage]]\nteacher = \"" + testing::kDistillCase + "/student/unet\"\n");
  expect_refused_at_the_start(run, ::testing::ContainsRegex("recipe.toml:[0-9]+:[0-9]+: stage 1: .*has another structure"));

  fs::create_directories(run.path("bare"));
  fs::copy_file(testing::kDistillCase + "/teacher/unet/config.json", run.path("bare/config.json"));
  run.write_recipe(std::string(kTrain) + "[[stage]]\n[[stage]]\nteacher = \"bare\"\n");
  expect_refused_at_the_start(run, HasSubstr("the teacher has no weights"));
}

/// Features of transformer blocks; the second stage removes the last one of its module.
std::string by_layer(const std::string& weights) {
  return "[teacher]\nmodel = \"" + testing::kDistillCase + "/teacher/unet\"\n" + DistillRun::data() +
         "[[loss]]\nuse = \"espalier.loss.feature-kd\"\npairs = \"layer\"\nweights = { " + weights + " }\n" + kTrain +
         "[[stage]]\n[[stage]]\nprune = { use = \"espalier.prune.blocks\", remove = "
         "[\"up_blocks.0.attentions.1.transformer_blocks.2\"] }\n";
}

TEST(DistillFaults, a_weight_for_terms_of_one_stage_alone_is_no_fault_and_one_for_none_is_found_at_the_start) {
  DistillRun run("globs");
  run.write("recipe.toml", by_layer("\"feature/up_blocks.0.attentions.1.transformer_blocks.3\" = 0.5"));
  const CommandResult result = run.run("good");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::vector<nlohmann::json> rows = run.rows("good");
  EXPECT_TRUE(rows.at(0).contains("feature/up_blocks.0.attentions.1.transformer_blocks.3"));
  EXPECT_FALSE(rows.at(1).contains("feature/up_blocks.0.attentions.1.transformer_blocks.3"));

  run.write("recipe.toml", by_layer("\"feature/up_blocks.0.attentions.1.transformer_blocks.4\" = 0.5, \"fature/*\" = 2.0"));
  expect_refused_at_the_start(run,
                              ::testing::AllOf(HasSubstr("transformer_blocks.4' matches no term of this loss in any stage; did"),
                                               HasSubstr("'fature/*' matches no term")));
}

TEST(DistillFaults, a_gate_on_a_metric_that_will_not_be_there_is_refused_at_the_start) {
  DistillRun run("metric");
  const auto gate = [&](const std::string& metric, const std::string& more = "") {
    run.write_recipe(std::string(kTrain) + "[[stage]]\n[[stage]]\nuntil = { metric = \"" + metric +
                     "\", below = 1e9 }\non_fail = \"stop\"\n" + more);
  };
  gate("outputt");
  expect_refused_at_the_start(
      run, ::testing::ContainsRegex("recipe.toml:[0-9]+:[0-9]+: stage 1: \\[until\\] there is no metric 'outputt'; did you mean "
                                    "'output'"));
  gate("val/output");
  expect_refused_at_the_start(run, HasSubstr("val/ metrics need [data] validation_rows"));
  gate("output", "steps = 0\n");
  expect_refused_at_the_start(run, HasSubstr("a stage of no steps has val/ metrics alone"));
  for (const char* metric : {"total", "grad_norm", "feature/mid_block"}) {
    gate(metric);
    const CommandResult result = run.run(std::string("with_") + metric[0], {});
    EXPECT_EQ(result.exit_code, 0) << result.err;
  }
}

TEST(DistillFaults, a_pruned_student_is_pruned_further_by_its_weights) {
  DistillRun run("further");
  run.write_recipe(std::string(kTrain) +
                   "[[stage]]\nprune = { use = \"espalier.prune.blocks\", remove = "
                   "[\"up_blocks.0.attentions.1.transformer_blocks.0\"] }\n");
  CommandResult result = run.run("first");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  run.write_recipe("[student]\nmodel = \"first/student\"\n" + std::string(kTrain) +
                   "[[stage]]\nprune = { use = \"espalier.prune.magnitude\", keep = 1 }\n");
  result = run.run("second", {"--dry-run"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  result = run.run("second");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  // Both rank the blocks of the student that the first run left: the preview says what the run then does.
  EXPECT_THAT(run.bytes("second/plan.toml"), HasSubstr("up_blocks.0.attentions.1.transformer_blocks.0"));
}

/// A pipeline folder with the case's teacher and a model card.
void write_teacher(const DistillRun& run, const std::string& name, const std::string& card) {
  fs::create_directories(run.path(name));
  fs::copy(testing::kDistillCase + "/teacher/unet", run.path(name) / "unet", fs::copy_options::recursive);
  run.write(name + "/README.md", card);
}

TEST(DistillFaults, a_model_card_is_the_students_own_and_names_every_teacher_and_the_steps_that_count) {
  DistillRun run("card");
  write_teacher(run, "first", "---\nlicense: mit\n---\nthe card of the first teacher\n");
  write_teacher(run, "other", "---\nlicense: apache-2.0\n---\nthe card of the other teacher\n");
  run.write("recipe.toml", "[teacher]\nmodel = \"first\"\n" + DistillRun::data() + DistillRun::kLosses +
                               "[train]\nbatch_size = 2\n[train.ema]\ndecay = 0.9\n[[stage]]\nsteps = 2\n"
                               "prune = { use = \"espalier.prune.blocks\", remove = "
                               "[\"up_blocks.0.attentions.*.transformer_blocks.0\"] }\n"
                               "until = { metric = \"output\", below = 1e-30 }\n[[stage]]\nsteps = 1\nteacher = \"other\"\n");
  const CommandResult result = run.run("run");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  // Two attempts at the first stage fail, two steps each; a third removes nothing and is left out.
  for (const char* card : {"run/README.md", "run/student/README.md", "run/student-ema/README.md"}) {
    const std::string text = run.bytes(card);
    EXPECT_THAT(text, HasSubstr("`first`, licence mit, then `other`, licence apache-2.0")) << card;
    EXPECT_THAT(text, HasSubstr("\n1 steps (and 4 that a failed gate took back)")) << card;
    EXPECT_THAT(text, Not(HasSubstr("\nlicense:"))) << card << ": the teachers' differ";
    EXPECT_THAT(text, Not(HasSubstr("the card of"))) << card;
  }
  EXPECT_THAT(run.bytes("run/README.md"), HasSubstr("`student/unet`"));
  EXPECT_THAT(run.bytes("run/student/README.md"), HasSubstr("It is in `unet` (raw weights)"));
  EXPECT_THAT(run.bytes("run/student-ema/README.md"), HasSubstr("It is in `unet` (the moving average of the weights)"));
  const auto manifest = nlohmann::json::parse(run.bytes("run/manifest.json"));
  EXPECT_EQ(manifest["steps"], 1);
  EXPECT_EQ(manifest["steps_taken_back"], 4);
  EXPECT_EQ(manifest["teachers"], (std::vector<std::string>{run.path("first").string(), run.path("other").string()}));
}

}  // namespace
}  // namespace espalier
