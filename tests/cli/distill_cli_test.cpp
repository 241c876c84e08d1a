// `espalier distill` as a user runs it: the recorded case of PyTorch + diffusers through a recipe, and what a run promises.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/sha256.h"
#include "tests/support/distill_run.h"
#include "tests/support/tiny_cache.h"

namespace espalier {
namespace {

using testing::CommandResult;
using testing::DistillRun;
using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

constexpr const char* kStudent = "[student]\nmodel = \"@/student/unet\"\n";
std::string student() {
  std::string text = kStudent;
  return text.replace(text.find('@'), 1, testing::kDistillCase);
}

TEST(DistillCli, five_steps_equal_pytorch_and_diffusers) {
  const std::string teacher = testing::kDistillCase + "/teacher/unet/diffusion_pytorch_model.safetensors";
  const std::string before = sha256_of_file(teacher);
  DistillRun run("golden");
  run.write_recipe(student() +
                   "[train]\nsteps = 5\nbatch_size = 2\nclip_norm = 1.0\ncheckpoint_every = 1\nkeep_checkpoints = 9\n"
                   "[train.optimizer]\nlr = 1e-3\nweight_decay = 0.1\n");
  const CommandResult result = run.run("run");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(sha256_of_file(teacher), before) << "a teacher is only read";

  std::ifstream file(testing::kDistillCase + "/expected.json");
  const auto expected = nlohmann::json::parse(file);
  const std::vector<nlohmann::json> rows = run.rows("run");
  ASSERT_EQ(rows.size(), 5u);
  for (size_t step = 0; step < rows.size(); ++step) {
    const auto& want = expected["steps"][step];
    EXPECT_EQ(rows[step]["step"], step);
    size_t terms = 0;
    double sum = 0;
    for (const auto& [key, value] : rows[step].items()) {
      if (key == "step") continue;
      ASSERT_TRUE(want.contains(key)) << key;
      EXPECT_NEAR(value.get<double>(), want[key].get<double>(), 1e-4 * std::fabs(want[key].get<double>()) + 1e-10)
          << key << " of step " << step;
      if (key == "total" || key == "grad_norm") continue;
      ++terms;
      sum += value.get<double>() * (key == "task" ? 1 : 0.5);
    }
    EXPECT_EQ(terms, 28u);
    EXPECT_NEAR(rows[step]["total"].get<double>(), sum, 1e-6 * sum) << "total is the weighted sum of the terms";
  }

  // The first moment after one step is (1 - β₁) · gradient · clip.
  const double norm = rows[0]["grad_norm"], scale = std::min(1.0, 1.0 / (norm + 1e-6));
  const auto state = io::open_safetensors(run.checkpoints("run").front() / "state.safetensors");
  const auto gradients = io::open_safetensors(testing::kDistillCase + "/gradients.safetensors");
  for (const std::string& name : gradients->names()) {
    std::vector<float> got = io::read_f32(state->get("slot0/" + name));
    for (float& value : got) value = static_cast<float>(value / (0.1 * scale));
    const std::vector<float> want = io::read_f32(gradients->get(name));
    EXPECT_LE(testing::distance(got, want), 1e-3 * testing::norm(want) + 1e-6) << name;
  }

  const auto initial = io::open_weights(testing::kDistillCase + "/student/unet");
  const auto final_weights = io::open_safetensors(testing::kDistillCase + "/final.safetensors");
  const auto trained = io::open_weights(run.path("run/student/unet"));
  for (const std::string& name : final_weights->names()) {
    const std::vector<float> want = io::read_f32(final_weights->get(name));
    EXPECT_LE(testing::distance(io::read_f32(trained->get(name)), want),
              5e-3 * testing::distance(want, io::read_f32(initial->get(name))))
        << name;
  }
}

TEST(DistillCli, an_empty_plan_leaves_nothing_to_distil) {
  DistillRun run("empty");
  run.write_recipe("[train]\nsteps = 1\nbatch_size = 2\n");
  for (const char* backend : {"cpu", "reference"}) {
    const CommandResult result = run.run(backend, {"--backend", backend});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    size_t compared = 0;
    const nlohmann::json row = run.rows(backend).at(0);
    for (const auto& [key, value] : row.items()) {
      if (key != "output" && key.rfind("feature/", 0) != 0) continue;
      ++compared;
      EXPECT_LE(value.get<double>(), backend == std::string("cpu") ? 1e-10 : 0) << key << " on " << backend;
    }
    EXPECT_EQ(compared, 27u);
  }
}

TEST(DistillCli, the_bits_do_not_depend_on_the_number_of_threads) {
  DistillRun run("threads");
  run.write_recipe(student() + "[train]\nsteps = 2\nbatch_size = 2\n[train.ema]\ndecay = 0.9\n");
  for (const char* threads : {"1", "2", "3"}) ASSERT_EQ(run.run(threads, {"--threads", threads}).exit_code, 0);
  for (const char* threads : {"2", "3"}) {
    EXPECT_EQ(run.bytes("1/metrics.jsonl"), run.bytes(std::string(threads) + "/metrics.jsonl"));
    EXPECT_EQ(run.bytes(run.weights_of("1")), run.bytes(run.weights_of(threads)));
    EXPECT_EQ(run.bytes("1/student-ema/unet/diffusion_pytorch_model.safetensors"),
              run.bytes(std::string(threads) + "/student-ema/unet/diffusion_pytorch_model.safetensors"));
  }
}

TEST(DistillCli, teachers_in_succession_each_teach_their_own_stage) {
  DistillRun run("succession");
  run.write_recipe("[train]\nsteps = 1\nbatch_size = 2\n[train.optimizer]\nlr = 1e-2\n");
  ASSERT_EQ(run.run("other").exit_code, 0);  // a model of the teacher's structure that answers otherwise
  const std::string train = "[train]\nsteps = 1\nbatch_size = 2\n";
  run.write_recipe(student() + train + "[[stage]]\n[[stage]]\nteacher = \"other/student\"\n");
  CommandResult result = run.run("both");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  run.write_recipe(student() + train);
  ASSERT_EQ(run.run("first").exit_code, 0);
  // The second stage by itself: the other teacher, the student as the first stage leaves it, the second batch.
  run.write("recipe.toml",
            "[teacher]\nmodel = \"other/student\"\n[student]\nmodel = \"first/student\"\n[data]\nsource = "
            "\"tensors\"\nfiles = [\"" +
                testing::kDistillCase + "/step_1.safetensors\"]\n" + DistillRun::kLosses + train);
  result = run.run("second");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  nlohmann::json expected = run.rows("second").at(0), got = run.rows("both").at(1);
  expected["step"] = 1;
  EXPECT_EQ(got, expected);
  EXPECT_NE(got["output"], run.rows("first").at(0)["output"]);
}

/// MiB of the values of forward and backward, as a dry run prints them.
double mib_of_values(const CommandResult& dry) {
  const std::string key = "values of forward and backward";
  const size_t at = dry.out.find(key) + key.size();
  const std::string line = dry.out.substr(at, dry.out.find('\n', at) - at);
  EXPECT_THAT(line, ::testing::EndsWith(" MiB"));
  return std::stod(line);
}

TEST(DistillCli, values_that_are_computed_again_take_less_memory_and_change_no_bit) {
  DistillRun run("recompute");
  run.write_recipe(student() + "[train]\nsteps = 1\naccumulate = 2\nbatch_size = 2\n");
  const std::string again = "train.recompute_above_mib=0";
  ASSERT_EQ(run.run("kept").exit_code, 0);
  ASSERT_EQ(run.run("less", {"--set", again}).exit_code, 0);
  EXPECT_EQ(run.bytes("kept/metrics.jsonl"), run.bytes("less/metrics.jsonl"));
  EXPECT_EQ(run.bytes(run.weights_of("kept")), run.bytes(run.weights_of("less")));
  EXPECT_THAT(run.bytes("less/recipe.resolved.toml"), HasSubstr("recompute_above_mib = 0"));
  EXPECT_THAT(run.bytes("kept/recipe.resolved.toml"), Not(HasSubstr("recompute_above_mib")));

  const CommandResult kept = run.run("dry", {"--dry-run"}), less = run.run("dry", {"--dry-run", "--set", again});
  ASSERT_EQ(kept.exit_code, 0) << kept.err;
  ASSERT_EQ(less.exit_code, 0) << less.err;
  std::printf("values of a step: %.2f MiB, computed again: %.2f MiB\n", mib_of_values(kept), mib_of_values(less));
  EXPECT_LT(mib_of_values(less), 0.7 * mib_of_values(kept));
}

TEST(DistillCli, accumulated_batches_give_the_mean_gradient) {
  DistillRun run("accumulate");
  run.write_recipe(student() + "[train]\nsteps = 1\nbatch_size = 2\n");
  // Two equal batches: their mean is either of them.
  std::string text = run.bytes("recipe.toml");
  const size_t files = text.find("files = ["), end = text.find(']', files);
  text.replace(files, end - files, "files = [\"" + testing::kDistillCase + "/step_0.safetensors\"");
  run.write("recipe.toml", text);
  ASSERT_EQ(run.run("once").exit_code, 0);
  ASSERT_EQ(run.run("twice", {"--set", "train.accumulate=2"}).exit_code, 0);
  const nlohmann::json once = run.rows("once")[0], twice = run.rows("twice")[0];
  for (const auto& [key, value] : once.items())
    EXPECT_NEAR(twice[key].get<double>(), value.get<double>(), 1e-6 * std::fabs(value.get<double>())) << key;
  const auto a = io::open_weights(run.path("once/student/unet")), b = io::open_weights(run.path("twice/student/unet"));
  for (const std::string& name : a->names())
    EXPECT_LE(testing::distance(io::read_f32(a->get(name)), io::read_f32(b->get(name))),
              1e-5 * testing::norm(io::read_f32(a->get(name))))
        << name;
}

TEST(DistillCli, a_run_is_never_overwritten_and_goes_on_only_with_its_own_recipe) {
  DistillRun run("exists");
  run.write_recipe(student() + "[train]\nsteps = 1\nbatch_size = 2\n");
  ASSERT_EQ(run.run("run").exit_code, 0);
  const std::string metrics = run.bytes("run/metrics.jsonl");
  CommandResult result = run.run("run");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("exists, and a run is never overwritten"));
  result = run.run("run", {"--resume", "--set", "train.steps=9"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("was made from another recipe"));
  EXPECT_THAT(result.err, HasSubstr("- steps = 1"));
  EXPECT_THAT(result.err, HasSubstr("+ steps = 9"));
  result = run.run("run", {"--resume"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, HasSubstr("this run is complete"));
  EXPECT_EQ(run.bytes("run/metrics.jsonl"), metrics);
}

TEST(DistillCli, a_step_that_is_not_finite_stops_and_names_the_first_layer) {
  DistillRun run("nan");
  run.write_recipe(student() + "[train]\nsteps = 3\nbatch_size = 2\n[train.optimizer]\nlr = 1e3\n");
  // Weights of 1e3 and more per step: activations leave f32 in the second or third step.
  const CommandResult result = run.run("run", {"--set", "train.optimizer.lr=1e3", "--set", "train.steps=40"});
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_THAT(result.err, HasSubstr("is not finite; the first value that is not: "));
  EXPECT_THAT(result.err, HasSubstr(" of the student"));
  EXPECT_FALSE(fs::exists(run.path("run/student")));
  for (const nlohmann::json& row : run.rows("run"))
    for (const auto& [key, value] : row.items()) EXPECT_TRUE(std::isfinite(value.get<double>())) << key;
}

TEST(DistillCli, a_stage_prunes_the_teacher_and_the_student_says_so) {
  DistillRun run("stage");
  run.write_recipe(
      "[train]\nbatch_size = 2\n"
      "[[stage]]\nprune = { use = \"espalier.prune.blocks\", remove = [\"up_blocks.0.attentions.1.transformer_blocks.2\"] "
      "}\nsteps = 1\n"
      "[[stage]]\nprune = { use = \"espalier.prune.blocks\", remove = [\"up_blocks.0.attentions.0.transformer_blocks.1\"] "
      "}\nsteps = 1\n");
  const CommandResult result = run.run("run");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(run.bytes("run/plan.toml"), HasSubstr("up_blocks.0.attentions.1.transformer_blocks.2"));
  EXPECT_THAT(run.bytes("run/plan.toml"), HasSubstr("up_blocks.0.attentions.0.transformer_blocks.1"));
  EXPECT_EQ(run.bytes("run/plan.toml"), run.bytes("run/student/plan.toml"));
  EXPECT_EQ(run.rows("run").size(), 2u);
  const CommandResult summary = testing::run_espalier({"inspect", run.path("run/student").string(), "--json"});
  EXPECT_EQ(summary.exit_code, 0) << summary.err;
  EXPECT_THAT(run.bytes("run/README.md"), HasSubstr("`up_blocks.0.attentions.0.transformer_blocks.1`"));
}

/// One stage that removes three blocks, with a gate that nothing meets until half of them stay.
std::string gated(const std::string& on_fail, const std::string& below) {
  return "[train]\nbatch_size = 2\n[[stage]]\nsteps = 2\n"
         "prune = { use = \"espalier.prune.blocks\", remove = [\"up_blocks.0.attentions.*.transformer_blocks.0\"] }\n"
         "until = { metric = \"output\", below = " +
         below + " }\non_fail = \"" + on_fail + "\"\n[[stage]]\nsteps = 1\n";
}

TEST(DistillCli, a_failed_gate_restores_the_stage_bitwise_and_removes_half_as_much) {
  DistillRun run("gate");
  run.write_recipe(gated("rollback", "1e-30"));
  const CommandResult result = run.run("run");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("not met; going back and removing half as much"));
  const auto manifest = nlohmann::json::parse(run.bytes("run/manifest.json"));
  std::vector<size_t> removed;
  for (const auto& stage : manifest["stages"]) removed.push_back(stage["removed"].size());
  // Three blocks, then every second one; at none the stage is left out and the next one trains the whole teacher.
  EXPECT_EQ(removed, (std::vector<size_t>{3, 1, 0, 0}));
  EXPECT_EQ(manifest["stages"][0]["outcome"], "not met: rolled back");
  EXPECT_THAT(manifest["stages"][2]["outcome"].get<std::string>(), HasSubstr("nothing is left to remove"));
  EXPECT_EQ(manifest["stages"][3]["stage"], 1);
  EXPECT_EQ(run.rows("run").back()["step"], 4);

  // What the second stage starts from is the teacher, with fresh moments: the same as a run without the first stage.
  DistillRun plain("gate_plain");
  plain.write_recipe("[train]\nbatch_size = 2\nsteps = 1\n");
  std::string text = plain.bytes("recipe.toml");
  const size_t first = text.find("step_0");
  text.replace(first, 6, "step_4");  // the stage before it took four batches
  plain.write("recipe.toml", text);
  ASSERT_EQ(plain.run("run").exit_code, 0);
  EXPECT_EQ(run.bytes(run.weights_of("run")), plain.bytes(plain.weights_of("run")));
}

TEST(DistillCli, a_gate_can_stop_the_run_or_be_passed_over) {
  DistillRun run("on_fail");
  run.write_recipe(gated("stop", "1e-30"));
  const CommandResult stopped = run.run("stopped");
  EXPECT_EQ(stopped.exit_code, 1);
  EXPECT_THAT(stopped.err, HasSubstr("which is not met, and on_fail is \"stop\""));
  EXPECT_FALSE(fs::exists(run.path("stopped/student")));
  run.write_recipe(gated("continue", "1e-30"));
  ASSERT_EQ(run.run("passed").exit_code, 0);
  EXPECT_EQ(nlohmann::json::parse(run.bytes("passed/manifest.json"))["stages"][0]["outcome"], "not met: went on");
  run.write_recipe(gated("stop", "1e9"));
  ASSERT_EQ(run.run("met").exit_code, 0);
  EXPECT_EQ(nlohmann::json::parse(run.bytes("met/manifest.json"))["stages"][0]["outcome"], "met");
}

TEST(DistillCli, weights_of_a_loss_are_by_term_and_by_step) {
  DistillRun run("weights");
  std::string losses =
      "[[loss]]\nuse = \"espalier.loss.task\"\nend = 1\n"
      "[[loss]]\nuse = \"espalier.loss.output-kd\"\nstart = 1\nweight = 0.25\n"
      "[[loss]]\nuse = \"espalier.loss.feature-kd\"\nname = \"kd\"\nweights = { \"kd/up_blocks.*\" = 2.0, \"kd/down_blocks.*\" = "
      "0.0 }\n";
  run.write("recipe.toml", "[teacher]\nmodel = \"" + testing::kDistillCase + "/teacher/unet\"\n" + student() +
                               DistillRun::data() + losses + "[train]\nsteps = 2\nbatch_size = 2\n");
  ASSERT_EQ(run.run("run").exit_code, 0);
  for (size_t step = 0; step < 2; ++step) {
    const nlohmann::json row = run.rows("run")[step];
    double sum = 0;
    for (const auto& [key, value] : row.items()) {
      if (key == "task" && step == 0) sum += value.get<double>();
      if (key == "output" && step == 1) sum += 0.25 * value.get<double>();
      if (key.rfind("kd/up_blocks.", 0) == 0) sum += 2 * value.get<double>();
      if (key.rfind("kd/mid_block", 0) == 0) sum += value.get<double>();
    }
    EXPECT_NEAR(row["total"].get<double>(), sum, 1e-5 * sum) << "step " << step;
  }
  const CommandResult wrong = run.run("wrong", {"--set", "loss.2.weights={\"kd/up_bloks.*\" = 2.0}"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("'kd/up_bloks.*' matches no term of this loss"));
}

TEST(DistillCli, the_first_average_is_the_weights) {
  DistillRun run("first_average");
  run.write_recipe(student() + "[train]\nsteps = 1\nbatch_size = 2\n[train.ema]\ndecay = 0.999\n");
  ASSERT_EQ(run.run("run").exit_code, 0);
  EXPECT_EQ(run.bytes(run.weights_of("run")), run.bytes("run/student-ema/unet/diffusion_pytorch_model.safetensors"));
}

/// `[data]` of a little cache that does not go with the recorded models, whose latents have 4 channels, their text 24 and 16.
std::string other_cache(const DistillRun& run) {
  testing::write_tiny_cache(run.path("cache"), {.rows = {4}, .channels = 3, .embedding = 8, .pooled = 5});
  return "[data]\nsource = \"cache\"\npath = \"cache\"\n";
}

TEST(DistillCli, data_that_does_not_fit_the_models_is_refused_with_both_numbers) {
  DistillRun run("fits");
  run.write("recipe.toml", "[teacher]\nmodel = \"" + testing::kDistillCase + "/teacher/unet\"\n" + student() + other_cache(run) +
                               DistillRun::kLosses + "[train]\nsteps = 1\nbatch_size = 2\n");
  const CommandResult result = run.run("run", {"--dry-run"});
  EXPECT_EQ(result.exit_code, 2);
  for (const char* what : {"teacher", "student"}) {
    const std::string end = std::string(" (") + testing::kDistillCase + "/" + what + "/unet); they do not go together";
    const std::string begin = run.path("cache").string() + "] the data has ", takes = std::string(", the ") + what + " takes ";
    EXPECT_THAT(result.err, HasSubstr(begin + "3 channels of latents" + takes + "4" + end));
    EXPECT_THAT(result.err,
                HasSubstr(begin + "8 as the width of encoder_hidden_states (cross_attention_dim)" + takes + "24" + end));
    EXPECT_THAT(result.err, HasSubstr(begin + "5 as the width of text_embeds" + takes + "16" + end));
  }
}

TEST(DistillCli, batches_that_do_not_fit_the_models_are_refused_by_their_file) {
  DistillRun run("fits_files");
  const std::string nine = ESPALIER_SOURCE_DIR "/tests/golden/nine-channels/unet/config.json";
  run.write("recipe.toml", "[student]\nmodel = \"" + nine + "\"\ninit = \"random\"\n" + DistillRun::data() +
                               "[[loss]]\nuse = \"espalier.loss.task\"\n[train]\nsteps = 1\nbatch_size = 2\n");
  const CommandResult result = run.run("run", {"--dry-run"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("step_0.safetensors] the data has 4 channels of latents, the student takes 9 ("));
}

TEST(DistillCli, a_model_of_links_to_blobs_is_opened_by_its_name) {
  DistillRun run("links");
  fs::create_directories(run.path("snapshot"));
  fs::copy_file(testing::kDistillCase + "/student/unet/config.json", run.path("0123abcd"));
  fs::create_symlink("../0123abcd", run.path("snapshot/config.json"));
  run.write("recipe.toml", "[student]\nmodel = \"snapshot/config.json\"\ninit = \"random\"\n" + DistillRun::data() +
                               "[[loss]]\nuse = \"espalier.loss.task\"\n[train]\nsteps = 1\nbatch_size = 2\n");
  const CommandResult result = run.run("run");
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST(DistillCli, a_student_learns_on_the_noise_of_its_teacher) {
  DistillRun run("noise");
  fs::create_directories(run.path("pipe/scheduler"));
  fs::copy(testing::kDistillCase + "/teacher/unet", run.path("pipe/unet"), fs::copy_options::recursive);
  run.write("pipe/scheduler/scheduler_config.json",
            R"({"prediction_type": "v_prediction", "beta_schedule": "squaredcos_cap_v2", "steps_offset": 1})");
  run.write("recipe.toml", "[teacher]\nmodel = \"pipe\"\n" + student() + DistillRun::data() + DistillRun::kLosses +
                               "[train]\nsteps = 1\nbatch_size = 2\n");
  const CommandResult result = run.run("silent");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(run.bytes("silent/recipe.resolved.toml"), HasSubstr("prediction_type = 'v_prediction'"));
  ASSERT_EQ(run.run("said", {"--set", "diffusion.prediction_type=v_prediction", "--set", "diffusion.schedule=squaredcos_cap_v2"})
                .exit_code,
            0);
  EXPECT_EQ(run.bytes("silent/metrics.jsonl"), run.bytes("said/metrics.jsonl"));
  const CommandResult other = run.run("other", {"--set", "diffusion.prediction_type=epsilon"});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, HasSubstr("'prediction_type' is \"epsilon\", but the teacher was trained with \"v_prediction\""));
  EXPECT_FALSE(fs::exists(run.path("other")));
}

}  // namespace
}  // namespace espalier
