// From a sweep file to trials.

#include <gmock/gmock.h>
#include <unistd.h>

#include <set>

#include "core/base/files.h"
#include "core/sweep/trial.h"
#include "core/train/stage_prefix.h"

namespace espalier::sweep {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr const char* kBase =
    "[teacher]\nmodel = \"teacher.json\"\n[data]\nsource = \"tensors\"\nfiles = [\"batch.safetensors\"]\n"
    "[[loss]]\nuse = \"espalier.loss.task\"\n[[loss]]\nuse = \"espalier.loss.output-kd\"\nweight = 0.5\n[train]\nsteps = 5\nseed "
    "= 7\n";

class SweepFileTest : public ::testing::Test {
 protected:
  SweepFileTest() : folder_(fs::temp_directory_path() / ("espalier_sweep_file_" + std::to_string(getpid()))) {
    fs::create_directories(folder_ / "other");
    for (const char* name : {"teacher.json", "batch.safetensors", "other/teacher.json"}) write_text(folder_ / name, "{}");
    write_text(folder_ / "recipe.toml", kBase);
  }
  ~SweepFileTest() override { fs::remove_all(folder_); }

  std::vector<Trial> trials(const std::string& text, const std::string& name = "s.toml") {
    write_text(folder_ / name,
               "base = \"" + (folder_ / "recipe.toml").string() + "\"\n" + text + "[objective]\nmetric = \"output\"\n");
    ErrorList errors;
    file_ = read_sweep_file(folder_ / name, errors);
    std::vector<Trial> made = make_trials(
        file_, [](const train::Recipe&, ErrorList&) {}, errors);
    EXPECT_THAT(errors.messages(), ElementsAre());
    return made;
  }
  static std::vector<std::string> labels(const std::vector<Trial>& trials) {
    std::vector<std::string> texts;
    for (const Trial& trial : trials) texts.push_back(label_of(trial));
    return texts;
  }

  fs::path folder_;
  SweepFile file_;
};

TEST_F(SweepFileTest, trials_are_the_cross_product_in_the_order_of_the_file) {
  EXPECT_THAT(labels(trials("[grid]\n\"train.steps\" = [5, 6]\n\"train.optimizer.lr\" = [1e-3, 1e-4]\n")),
              ElementsAre("steps=5 lr=0.001", "steps=5 lr=0.0001", "steps=6 lr=0.001", "steps=6 lr=0.0001"));
  EXPECT_THAT(labels(trials("[zip]\ntrain.steps = [5, 6]\ntrain.optimizer.lr = [1e-3, 1e-4]\n")),
              ElementsAre("steps=5 lr=0.001", "steps=6 lr=0.0001"));
  EXPECT_THAT(labels(trials("repeats = 2\n[[list]]\nname = \"a\"\n\"loss.1.weight\" = 0.1\n[[list]]\nname = \"b\"\nloss = "
                            "[{ use = \"espalier.loss.task\" }]\n")),
              ElementsAre("a loss.1.weight=0.1 seed=7", "a loss.1.weight=0.1 seed=8", "b seed=7", "b seed=8"));
  EXPECT_THAT(labels(trials("[grid]\n\"train.steps\" = [5, 6]\n\"train.seed\" = [1, 2]\n[[exclude]]\n\"train.steps\" = 6\n"
                            "\"train.seed\" = [2, 3]\n")),
              ElementsAre("steps=5 seed=1", "steps=5 seed=2", "steps=6 seed=1"));
}

TEST_F(SweepFileTest, a_trials_id_is_of_its_recipe_and_of_nothing_else) {
  const auto ids = [](const std::vector<Trial>& trials) {
    std::set<std::string> set;
    for (const Trial& trial : trials) set.insert(trial.id);
    return set;
  };
  const std::set<std::string> one = ids(trials("[grid]\n\"train.steps\" = [5, 6]\n\"train.seed\" = [1, 2]\n"));
  EXPECT_THAT(one, SizeIs(4));
  EXPECT_EQ(ids(trials("# other words\n[grid]\ntrain.seed = [2, 1]\ntrain.steps = [6, 5]\n")), one);
  EXPECT_EQ(ids(trials("[[list]]\ntrain = { steps = 5, seed = 2 }\n[[list]]\ntrain = { seed = 1, steps = 5 }\n[[list]]\n"
                       "train.steps = 6\ntrain.seed = 1\n[[list]]\n\"train.steps\" = 6\n\"train.seed\" = 2\n",
                       "t.toml")),
            one);
}

TEST_F(SweepFileTest, a_table_is_laid_over_before_its_keys) {
  const std::vector<Trial> made =
      trials("[grid]\n\"loss.0.weight\" = [0.25]\nloss = [[{ use = \"espalier.loss.task\", weight = 1.0 }]]\n");
  ASSERT_THAT(made, SizeIs(1));
  EXPECT_THAT(made[0].recipe, ::testing::HasSubstr("weight = 0.25"));
}

TEST_F(SweepFileTest, paths_are_relative_to_the_file_that_they_stand_in) {
  const std::vector<Trial> made = trials("[grid]\n\"teacher.model\" = [\"teacher.json\"]\n", "other/s.toml");
  ASSERT_THAT(made, SizeIs(1));
  EXPECT_THAT(made[0].recipe, ::testing::HasSubstr((folder_ / "other/teacher.json").string()));
  EXPECT_THAT(made[0].recipe, ::testing::HasSubstr((folder_ / "batch.safetensors").string()));
}

TEST_F(SweepFileTest, draws_stay_the_same_when_there_are_more_of_them) {
  const std::string axis = "[random]\nseed = 3\n\"train.optimizer.lr\" = { log_uniform = [1e-5, 1e-3], samples = ";
  std::vector<Trial> few = trials(axis + "5 }\n"), many = trials(axis + "40 }\n");
  ASSERT_THAT(many, SizeIs(40));
  for (size_t i = 0; i < few.size(); ++i) EXPECT_EQ(few[i], many[i]);
  int low = 0;
  for (const Trial& trial : many) {
    const double lr = std::stod(trial.settings[0].second);
    EXPECT_GE(lr, 1e-5);
    EXPECT_LE(lr, 1e-3);
    low += lr < 1e-4 ? 1 : 0;
  }
  EXPECT_GT(low, 10) << "half of the decades";
  EXPECT_LT(low, 30);
  EXPECT_NE(trials("[random]\nseed = 4\n\"train.optimizer.lr\" = { log_uniform = [1e-5, 1e-3], samples = 5 }\n")[0].id,
            few[0].id);
  for (const Trial& trial : trials("[random]\n\"train.seed\" = { integer = [2, 4], samples = 9 }\n\"loss.1.weight\" = { choice = "
                                   "[0.1, 0.2], samples = 9 }\n"))
    EXPECT_THAT(trial.settings, ElementsAre(Pair("train.seed", ::testing::AnyOf("2", "3", "4")),
                                            Pair("loss.1.weight", ::testing::AnyOf("0.1", "0.2"))));
}

TEST_F(SweepFileTest, a_trial_reads_back_from_its_line) {
  for (const Trial& trial : trials("[[list]]\nname = \"a \\\"b\\\" ü\"\n\"loss.1.weight\" = 0.1\n"))
    EXPECT_EQ(from_json_line(to_json_line(trial), "list.jsonl:1"), trial);
  EXPECT_THROW(from_json_line("{\"id\":3}", "list.jsonl:1"), UserError);
}

TEST_F(SweepFileTest, prefixes_are_equal_where_the_first_stages_are_and_differ_where_anything_of_them_does) {
  write_text(folder_ / "recipe.toml", std::string(kBase) +
                                          "[train.lr_schedule]\nuse = \"cosine\"\nper = \"stage\"\n"
                                          "[[stage]]\nsteps = 2\n[[stage]]\nsteps = 3\n[[stage]]\nsteps = 4\n");
  const auto prefixes = [&](const std::string& axis) {
    std::vector<std::vector<std::string>> all;
    for (const Trial& trial : trials("[grid]\n" + axis + "\n")) all.push_back(trial.prefixes);
    return all;
  };
  const auto same = [&](const std::string& axis, size_t stage) {
    const auto all = prefixes(axis);
    return all.at(0).at(stage) == all.at(1).at(stage);
  };
  for (const char* axis :
       {"\"stage.2.steps\" = [4, 5]", "\"train.save_dtype\" = [\"f32\", \"f16\"]", "\"train.checkpoint_every\" = [1, 2]",
        "\"loss.1\" = [{ use = \"espalier.loss.output-kd\", stages = [2] }, "
        "{ use = \"espalier.loss.output-kd\", weight = 3.0, stages = [2] }]"}) {
    EXPECT_TRUE(same(axis, 0)) << axis;
    EXPECT_TRUE(same(axis, 1)) << axis;
  }
  EXPECT_TRUE(same("\"stage.1.steps\" = [3, 5]", 0));
  EXPECT_FALSE(same("\"stage.1.steps\" = [3, 5]", 1));
  for (const char* axis : {"\"train.seed\" = [1, 2]", "\"train.optimizer.lr\" = [1e-3, 1e-4]", "\"loss.1.weight\" = [0.1, 0.2]",
                           "\"stage.0.steps\" = [2, 3]", "\"train.validate_every\" = [0, 1]"})
    EXPECT_FALSE(same(axis, 0)) << axis;
  EXPECT_FALSE(same("\"train.lr_schedule.per\" = [\"run\"]\n\"stage.2.steps\" = [4, 5]", 0)) << "the rate decays over the run";
}

}  // namespace
}  // namespace espalier::sweep
