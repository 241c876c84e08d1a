// recipe.toml: strict, all faults at once, each with its place; a resolved recipe gives itself.

#include "core/train/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/base/files.h"
#include "core/train/overrides.h"
#include "core/train/stage_prefix.h"

namespace espalier::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class RecipeTest : public ::testing::Test {
 protected:
  RecipeTest() : folder_(fs::temp_directory_path() / ("espalier_recipe_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_ / "teacher");
    std::ofstream(folder_ / "batch.safetensors") << "x";
  }
  ~RecipeTest() override { fs::remove_all(folder_); }

  Recipe read(const std::string& text, const std::vector<std::string>& sets = {}) {
    std::ofstream(folder_ / "r.toml") << text;
    errors_ = {};
    return read_recipe(folder_ / "r.toml", sets, errors_);
  }
  /// The faults, without the folder.
  std::vector<std::string> faults() const {
    std::vector<std::string> out;
    for (std::string text : errors_.messages()) {
      for (size_t at; (at = text.find(folder_.string() + "/")) != std::string::npos;) text.erase(at, folder_.string().size() + 1);
      out.push_back(text);
    }
    return out;
  }

  static constexpr const char* kGood =
      "[teacher]\nmodel = \"teacher\"\n[data]\nsource = \"tensors\"\nfiles = [\"batch.safetensors\"]\n"
      "[[loss]]\nuse = \"espalier.loss.task\"\n[train]\nsteps = 5\n";
  fs::path folder_;
  ErrorList errors_;
};

TEST_F(RecipeTest, defaults_are_those_of_the_docs) {
  const Recipe recipe = read(kGood);
  EXPECT_THAT(faults(), ElementsAre());
  EXPECT_EQ(recipe.train.steps, 5);
  EXPECT_EQ(recipe.stages.size(), 1u) << "a recipe without stages has one that prunes nothing";
  EXPECT_EQ(recipe.planned_steps(), 5);
  EXPECT_EQ(recipe.train.optimizer.use, "adamw");
  EXPECT_FALSE(recipe.train.clip_norm);
  EXPECT_FALSE(recipe.train.ema_decay);
  EXPECT_FALSE(recipe.train.recompute_above_mib);
  EXPECT_EQ(recipe.schedule.name, "scaled_linear");
}

TEST_F(RecipeTest, reports_every_fault_at_once_with_its_place) {
  read(
      "[teacher]\nmodle = \"teacher\"\n"
      "[data]\nsource = \"tensor\"\n"
      "[diffusion]\nprediction_type = \"v\"\n"
      "[[loss]]\nweight = -1\n"
      "[train]\nstep = 5\nbatch_size = 0\nsave_dtype = \"f8\"\nrecompute_above_mib = -1\n"
      "[train.optimizer]\nuse = \"adam\"\nbetas = [0.9]\n"
      "[train.ema]\n"
      "[[stage]]\nsteps = \"many\"\non_fail = \"stop\"\n");
  EXPECT_THAT(faults(), ::testing::UnorderedElementsAre(
                            "r.toml:1:1: [teacher] has no 'model'",
                            HasSubstr("r.toml:2:1: unknown key 'modle' in [teacher]; did you mean 'model'?"),
                            "r.toml:4:10: 'source' must be one of tensors, cache, not 'tensor'; did you mean 'tensors'?",
                            HasSubstr("r.toml:6:19: 'prediction_type' must be one of epsilon, v_prediction, not 'v'"),
                            "r.toml:7:1: [[loss]] 0 has no 'use'", "r.toml:8:10: 'weight' must be from 0 to 1000000000",
                            HasSubstr("unknown key 'step' in [train]; did you mean 'steps' or 'seed'?"),
                            "r.toml:11:14: 'batch_size' must be from 1 to 1048576",
                            HasSubstr("r.toml:12:14: 'save_dtype' must be one of f32, f16, bf16"),
                            HasSubstr("r.toml:13:23: 'recompute_above_mib' must be from 0 to "),
                            HasSubstr("'use' must be one of adamw, adamw8bit, adafactor, not 'adam'; did you mean 'adamw'?"),
                            HasSubstr("'betas' must be two numbers"), "r.toml:17:1: [train.ema] has no 'decay'",
                            HasSubstr("'steps' must be an integer, not a string"),
                            HasSubstr("'on_fail' says what a failed gate does, and there is no 'until'")))
      << ::testing::PrintToString(faults());
}

TEST_F(RecipeTest, each_optimizer_has_its_own_keys_and_defaults) {
  const OptimizerSpec eight = read(kGood, {"train.optimizer.use=adamw8bit"}).train.optimizer;
  EXPECT_EQ(eight.lr, 1e-4);
  EXPECT_EQ(eight.weight_decay, 1e-2);
  const Recipe factored = read(kGood, {"train.optimizer.use=adafactor"});
  EXPECT_EQ(factored.train.optimizer.lr, 1e-2);
  EXPECT_EQ(factored.train.optimizer.weight_decay, 0);
  EXPECT_EQ(factored.train.optimizer.eps, 1.1920928955078125e-07);
  EXPECT_THAT(resolved_text(factored), HasSubstr("beta2_decay = -0.8"));
  EXPECT_THAT(resolved_text(factored), ::testing::Not(HasSubstr("betas")));
  EXPECT_THAT(faults(), ElementsAre());
  read(kGood, {"train.optimizer.use=adafactor", "train.optimizer.betas=[0.9, 0.99]", "train.optimizer.clip_rms=0"});
  EXPECT_THAT(faults(), ::testing::UnorderedElementsAre(HasSubstr("unknown key 'betas' in [train.optimizer]"),
                                                        HasSubstr("'clip_rms' must be from")));
  read(kGood, {"train.optimizer.clip_rms=1"});
  EXPECT_THAT(faults(), ElementsAre(HasSubstr("unknown key 'clip_rms' in [train.optimizer]")));
}

TEST_F(RecipeTest, knows_every_key_of_the_documentation) {
  const std::string page = read_text(fs::path(ESPALIER_SOURCE_DIR) / "docs/recipe.md");
  const size_t begin = page.find("```toml\n") + 8, end = page.find("```\n", begin);
  ASSERT_NE(end, std::string::npos);
  read(page.substr(begin, end - begin));
  // What is named there is not here: models and the cache. Nothing else is wrong.
  EXPECT_THAT(faults(), ::testing::SizeIs(4));
  EXPECT_THAT(faults(), ::testing::Each(HasSubstr("is not there")));
}

TEST_F(RecipeTest, needs_a_model_data_a_loss_and_steps) {
  read("[train]\n");
  EXPECT_THAT(faults(), ::testing::UnorderedElementsAre(HasSubstr("neither [teacher] nor [student] names a model"),
                                                        "r.toml: recipe has no [data]", HasSubstr("recipe has no [[loss]]"),
                                                        "r.toml:1:1: [train] has no 'steps'"));
}

TEST_F(RecipeTest, sets_lie_over_the_file) {
  const Recipe recipe = read(kGood, {"train.steps=7", "train.optimizer.lr=3e-4", "loss.0.weight=2",
                                     "data.files=[\"batch.safetensors\"]", "diffusion.schedule=linear"});
  EXPECT_THAT(faults(), ElementsAre());
  EXPECT_EQ(recipe.train.steps, 7);
  EXPECT_EQ(recipe.train.optimizer.lr, 3e-4);
  EXPECT_EQ(recipe.losses[0].weight, 2);
  EXPECT_EQ(recipe.schedule.name, "linear");
  read(kGood, {"train", "loss.3.weight=1", "train.steps.x=1", "train.stpes=4"});
  EXPECT_THAT(faults(), ElementsAre("--set train: want KEY=VALUE, as in train.steps=100",
                                    "--set loss.3.weight=1: 'loss' has 1 rows, numbered from 0; '3' is none of them",
                                    "--set train.steps.x=1: 'train.steps' holds a value, it has no 'x'",
                                    HasSubstr("unknown key 'stpes' in [train]; did you mean 'steps'?")));
}

TEST_F(RecipeTest, a_resolved_recipe_resolves_to_itself) {
  const std::string stages =
      "[train.ema]\ndecay = 0.99\n[train.lr_schedule]\nuse = \"cosine\"\nwarmup = 3\n"
      "[[stage]]\nsteps = 2\nprune = { use = \"espalier.prune.ssd-1b\" }\nuntil = { metric = \"output\", below = 0.5 }\n";
  const std::string once = resolved_text(read(std::string(kGood) + stages));
  EXPECT_THAT(faults(), ElementsAre());
  const std::string twice = resolved_text(read(once));
  EXPECT_THAT(faults(), ElementsAre());
  EXPECT_EQ(once, twice);
  EXPECT_THAT(once, HasSubstr("on_fail = 'rollback'"));
}

/// The start of a scheduler_config.json, on one line.
std::string scheduler(const std::string& fields) { return "{\"_class_name\": \"DDIMScheduler\", " + fields + "}"; }

TEST_F(RecipeTest, diffusion_is_the_teachers_where_the_recipe_says_nothing) {
  write_text(folder_ / "teacher/scheduler/scheduler_config.json",
             scheduler(R"("prediction_type": "v_prediction", "beta_schedule": "linear", "beta_start": 0.001, "beta_end": 0.25)"));
  const Recipe silent = read(kGood);
  EXPECT_THAT(faults(), ElementsAre());
  EXPECT_TRUE(silent.predicts_v);
  EXPECT_EQ(silent.schedule.name, "linear");
  EXPECT_EQ(silent.schedule.beta_start, 0.001);
  const std::string text = resolved_text(silent);
  for (const char* line : {"prediction_type = 'v_prediction'", "schedule = 'linear'", "beta_start = 0.001", "beta_end = 0.25"})
    EXPECT_THAT(text, HasSubstr(line));
  const Recipe same = read(kGood, {"diffusion.prediction_type=v_prediction", "diffusion.beta_end=0.25"});
  EXPECT_THAT(faults(), ElementsAre());
  EXPECT_EQ(resolved_text(same), text);
  EXPECT_TRUE(read(text).predicts_v);
  EXPECT_THAT(faults(), ElementsAre()) << "a resolved recipe agrees with its teacher";
}

TEST_F(RecipeTest, a_teacher_without_a_scheduler_config_leaves_the_defaults) {
  const Recipe recipe = read(kGood);
  EXPECT_FALSE(recipe.predicts_v);
  EXPECT_EQ(recipe.schedule.name, "scaled_linear");
  EXPECT_EQ(recipe.schedule.beta_end, 0.012);
}

TEST_F(RecipeTest, refuses_other_noise_than_the_teachers_with_both_values) {
  const std::string file = "teacher/scheduler_config.json";
  write_text(folder_ / file, scheduler(R"("prediction_type": "v_prediction", "beta_schedule": "scaled_linear",
"beta_start": 0.00085, "beta_end": 0.012)"));
  read(std::string(kGood) + "[diffusion]\nprediction_type = \"epsilon\"\nbeta_end = 0.02\n");
  EXPECT_THAT(faults(),
              ElementsAre("r.toml:11:19: 'prediction_type' is \"epsilon\", but the teacher was trained with \"v_prediction\" (" +
                              file + "); leave the key out to train as it was",
                          HasSubstr("r.toml:12:12: 'beta_end' is 0.02, but the teacher was trained with 0.012 (")));
  read(kGood, {"diffusion.schedule=squaredcos_cap_v2"});
  EXPECT_THAT(
      faults(),
      ElementsAre(HasSubstr("'schedule' is \"squaredcos_cap_v2\", but the teacher was trained with \"scaled_linear\" (")));
}

TEST_F(RecipeTest, a_later_teacher_is_of_the_same_noise) {
  write_text(folder_ / "second/scheduler/scheduler_config.json", scheduler(R"("beta_schedule": "squaredcos_cap_v2")"));
  read(std::string(kGood) + "[[stage]]\n[[stage]]\nteacher = \"second\"\n");
  EXPECT_THAT(faults(), ElementsAre("r.toml:12:11: this teacher was trained with schedule \"squaredcos_cap_v2\" "
                                    "(second/scheduler/scheduler_config.json), but this recipe trains with \"scaled_linear\""));
  read(std::string(kGood) + "[diffusion]\nschedule = \"squaredcos_cap_v2\"\n[[stage]]\n[[stage]]\nteacher = \"second\"\n");
  EXPECT_THAT(faults(), ElementsAre());
}

TEST_F(RecipeTest, names_noise_of_a_teacher_that_no_recipe_can_say) {
  const auto faults_with = [&](const std::string& fields) {
    write_text(folder_ / "teacher/scheduler_config.json", fields);
    read(kGood);
    return faults();
  };
  EXPECT_THAT(
      faults_with(scheduler("\n\"prediction_type\": \"sample\", \"beta_schedule\": \"sigmoid\", \"beta_start\": 0, "
                            "\"num_train_timesteps\": 500, \"trained_betas\": [0.1], \"rescale_betas_zero_snr\": true")),
      ElementsAre("teacher/scheduler_config.json:2:20: the teacher's 'prediction_type' is \"sample\"; a recipe trains with "
                  "epsilon, v_prediction",
                  HasSubstr("the teacher's 'beta_schedule' is \"sigmoid\"; a recipe trains with scaled_linear, linear"),
                  HasSubstr("'beta_start' must lie between 0 and 1, not 0"),
                  HasSubstr("the teacher has 500 timesteps; a recipe trains with 1000"),
                  HasSubstr("the teacher has betas of its own"), HasSubstr("rescaled to zero SNR")));
  EXPECT_THAT(faults_with(R"({"_class_name": "EDMEulerScheduler", "prediction_type": "epsilon"})"),
              ElementsAre(HasSubstr("the teacher's noise is that of a EDMEulerScheduler; a recipe trains with betas")));
  EXPECT_THAT(faults_with("[]"), ElementsAre(HasSubstr("a scheduler config is an object, not an array")));
  EXPECT_THAT(faults_with("{"), ElementsAre(HasSubstr("scheduler_config.json:1:2: ")));
  EXPECT_THAT(faults_with(scheduler(R"("use_karras_sigmas": true, "solver_order": 3, "beta_schedule": "scaled_linear")")),
              ElementsAre())
      << "how a scheduler steps is nothing to training";
}

TEST_F(RecipeTest, a_loss_name_holds_no_control_characters) {
  read(std::string(kGood) + "[[loss]]\nuse = \"x\"\nname = \"kd\\nrow\"\n[[loss]]\nuse = \"x\"\nname = \"Ähnlich / 2\"\n");
  EXPECT_THAT(faults(), ElementsAre("r.toml:12:8: 'name' is a key of metrics.jsonl and may hold no control characters, not "
                                    "'kd\\x0Arow'"));
}

TEST_F(RecipeTest, weights_of_terms_are_finite) {
  read(std::string(kGood) +
       "[[loss]]\nuse = \"x\"\nweights = { a = nan, b = inf, c = 1e300, d = -1, e = \"2\", f = 0, g = 2.5 }\n");
  std::vector<::testing::Matcher<std::string>> wanted;
  for (const char* glob : {"a", "b", "c", "d", "e"})
    wanted.push_back(HasSubstr(std::string("the weight of '") + glob + "' must be a number from 0 to 1000000000"));
  EXPECT_THAT(faults(), ::testing::ElementsAreArray(wanted));
}

TEST_F(RecipeTest, a_link_keeps_its_own_name) {
  // The cache of the Hugging Face hub: files are links to blobs whose names say nothing.
  std::ofstream(folder_ / "0123abcd") << "{}";
  fs::create_directories(folder_ / "snapshot");
  fs::create_symlink("../0123abcd", folder_ / "snapshot/config.json");
  const std::string text = "[student]\nmodel = \"teacher/../snapshot/./config.json\"\ninit = \"random\"\n" +
                           std::string(kGood).substr(std::strlen("[teacher]\nmodel = \"teacher\"\n"));
  const Recipe recipe = read(text);
  EXPECT_THAT(faults(), ElementsAre());
  EXPECT_EQ(recipe.student, folder_ / "snapshot/config.json");
  EXPECT_EQ(read(kGood, {"teacher.model=teacher/"}).teacher, folder_ / "teacher");
}

TEST_F(RecipeTest, a_part_of_a_set_key_in_quotes_may_hold_anything) {
  const Recipe recipe = read(kGood, {R"(loss.0.weights."feature/up_blocks.*"=2)", R"(loss.0.weights.'a=b.c'=3)",
                                     R"("loss"."0".weights."a \"b\"" = 4)", "loss.0.weights.plain=5"});
  EXPECT_THAT(faults(), ElementsAre(HasSubstr("a quote in the key must enclose a whole part")));
  EXPECT_THAT(recipe.losses[0].weights,
              ::testing::UnorderedElementsAre(::testing::Pair("feature/up_blocks.*", 2.0), ::testing::Pair("a=b.c", 3.0),
                                              ::testing::Pair("plain", 5.0)));
  EXPECT_THAT(read(kGood, {R"(loss.0.weights."a \"b\""=4)"}).losses[0].weights, ElementsAre(::testing::Pair("a \"b\"", 4.0)));
  read(kGood, {R"(loss.0.weights."feature=2)", R"(loss.0."weights"x.a=2)", R"(loss.0.weights."\q"=2)", R"(loss."3".weight=1)"});
  EXPECT_THAT(faults(), ElementsAre(HasSubstr("the key has a quote that is not closed"),
                                    HasSubstr("a quote in the key must enclose a whole part"),
                                    HasSubstr("the quoted part of the key is no TOML: "), HasSubstr("'3' is none of them")));
}

TEST_F(RecipeTest, stages_of_one_schedule_are_shared_only_with_runs_whose_schedule_goes_on_as_well) {
  const std::string begin = std::string(kGood) + "[[stage]]\nsteps = 1\nprune = { use = \"a.b\", keep = 1 }\n";
  const std::string goes_on = prefix_text(read(begin + "[[stage]]\nsteps = 1\nprune = { use = \"a.b\", keep = 1 }\n"), 1);
  const std::string ends = prefix_text(read(begin + "[[stage]]\nsteps = 1\nprune = { use = \"a.b\", keep = 2 }\n"), 1);
  const std::string ends_too = prefix_text(read(begin + "[[stage]]\nsteps = 7\n"), 1);
  EXPECT_NE(goes_on, ends) << "a pruner that is asked on is asked once in this stage";
  EXPECT_EQ(ends, ends_too);
}

TEST_F(RecipeTest, calibration_and_metrics_are_read_strictly) {
  const Recipe recipe =
      read(std::string(kGood) + "[calibration]\nbatches = 3\n[[metric]]\nuse = \"m.x\"\nname = \"n\"\npictures = 4\nother = 1\n");
  EXPECT_THAT(faults(), ElementsAre());
  EXPECT_EQ(recipe.calibration_batches, 3);
  ASSERT_EQ(recipe.metrics.size(), 1u);
  EXPECT_EQ(recipe.metrics[0].name, "n");
  EXPECT_EQ(recipe.metrics[0].pictures, 4);
  read(std::string(kGood) + "[calibration]\nbatches = 0\n[[metric]]\nguidance = 0.5\n");
  EXPECT_THAT(faults(), ElementsAre("r.toml:11:11: 'batches' must be from 1 to 1048576", "r.toml:12:1: [[metric]] 0 has no 'use'",
                                    "r.toml:13:12: 'guidance' must be from 1 to 100"));
}

}  // namespace
}  // namespace espalier::train
