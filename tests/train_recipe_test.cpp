// recipe.toml: strict, all faults at once, each with its place; a resolved recipe gives itself.

#include "core/train/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/base/files.h"
#include "core/train/overrides.h"

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

}  // namespace
}  // namespace espalier::train
