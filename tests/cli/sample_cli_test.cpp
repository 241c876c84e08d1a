// `espalier sample` as a user meets it: a small cache, a random UNet of SDXL's kind, files that come out.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "core/io/memory_source.h"
#include "core/io/safetensors.h"
#include "tests/support/read_png.h"
#include "tests/support/run_command.h"
#include "tests/support/tiny_cache.h"

namespace espalier {
namespace {

using testing::CommandResult;
using ::testing::HasSubstr;
using ::testing::Not;

class SampleCommand : public testing::FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    auto config = nlohmann::json::parse(read_text(ESPALIER_SOURCE_DIR "/tests/configs/tiny-sdxl-unet.json"));
    config["in_channels"] = config["out_channels"] = 3;
    write_text(folder_ / "pipe/unet/config.json", config.dump());
    write_text(
        folder_ / "pipe/scheduler/scheduler_config.json",
        R"({"_class_name": "EulerDiscreteScheduler", "beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction",
                   "timestep_spacing": "leading", "skip_prk_steps": true})");
    testing::write_tiny_cache(folder_ / "cache", {.rows = {6, 3}, .channels = 3, .embedding = 64, .pooled = 32});
  }

  /// `sample` on the little cache with few steps; `more` comes last.
  CommandResult sample(std::vector<std::string> more, const std::string& model = "pipe/unet/config.json") {
    std::vector<std::string> arguments{
        "sample", (folder_ / model).string(), "--cache", (folder_ / "cache").string(), "--random-weights", "1", "--steps", "3"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return testing::run_espalier(arguments);
  }
  std::string out(const char* name) const { return (folder_ / name).string(); }
  testing::ReadPng png(const char* name) const { return testing::read_png(read_text(folder_ / name)); }
  std::vector<float> tensor(const char* file, const std::string& name) const {
    return io::read_f32(io::open_safetensors(folder_ / file)->get(name));
  }
};

TEST_F(SampleCommand, draws_a_grid_that_carries_its_recipe) {
  const CommandResult result = sample(
      {"--rows", "1-2", "--rows", "picture 5 of 0", "--columns", "2", "--scale", "5", "--seed", "9", "--out", out("grid.png")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(result.out, HasSubstr("1       2    2  0-02  picture 2 of 0"));
  EXPECT_THAT(result.out, HasSubstr("3 pictures, euler, 3 steps, guidance 5, seed 9, v_prediction, squaredcos_cap_v2"));
  EXPECT_THAT(result.out, HasSubstr("scheduler_config.json"));
  const testing::ReadPng grid = png("grid.png");
  EXPECT_EQ(grid.width, 4 + 2 * (10 + 4));
  EXPECT_EQ(grid.height, 4 + 2 * (10 + 4));
  const auto recipe = nlohmann::json::parse(grid.texts.at("espalier.sample"));
  EXPECT_EQ(recipe["sampler"], "euler");
  EXPECT_EQ(recipe["steps"], 3);
  EXPECT_EQ(recipe["seed"], 9);
  EXPECT_EQ(recipe["guidance"], 5.0);
  EXPECT_EQ(recipe["scheduler"]["prediction_type"], "v_prediction");
  EXPECT_EQ(recipe["rows"][2]["id"], "0-05");
  EXPECT_EQ(recipe["rows"][2]["caption"], "picture 5 of 0");
  EXPECT_EQ(recipe["columns"], 2);
  EXPECT_THAT(grid.texts.at("Software"), HasSubstr("espalier"));
  EXPECT_THAT(grid.texts.at("Description"), HasSubstr("guidance 5, seed 9"));
}

TEST_F(SampleCommand, the_same_seed_gives_the_same_file_and_another_seed_another) {
  ASSERT_EQ(sample({"--rows", "0-3", "--seed", "4", "--out", out("a.png")}).exit_code, 0);
  ASSERT_EQ(sample({"--rows", "0-3", "--seed", "4", "--out", out("b.png")}).exit_code, 0);
  ASSERT_EQ(sample({"--rows", "0-3", "--seed", "5", "--out", out("c.png")}).exit_code, 0);
  EXPECT_EQ(read_text(folder_ / "a.png"), read_text(folder_ / "b.png"));
  EXPECT_NE(png("a.png").rgb, png("c.png").rgb);
}

TEST_F(SampleCommand, a_row_is_drawn_alike_alone_and_among_others) {
  for (const char* sampler : {"ddim", "euler"}) {
    ASSERT_EQ(sample({"--sampler", sampler, "--rows", "0-5", "--at-once", "4", "--latents", out("all")}).exit_code, 0);
    ASSERT_EQ(sample({"--sampler", sampler, "--rows", "0-05", "--latents", out("one")}).exit_code, 0);
    const std::vector<float> all = tensor("all", "latents"), one = tensor("one", "latents");
    ASSERT_EQ(one.size(), 12u);
    ASSERT_EQ(all.size(), 6 * one.size());
    for (size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(all[5 * one.size() + i], one[i], 1e-4 * (1 + std::abs(one[i])));
  }
}

TEST_F(SampleCommand, rows_of_several_sizes_share_a_grid_and_have_a_tensor_each) {
  const CommandResult result =
      sample({"--rows", "0-00,1-02,1-00", "--scale", "2", "--columns", "3", "--out", out("grid.png"), "--latents", out("l")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(png("grid.png").width, 4 + 3 * (3 * 2 + 4));
  const auto file = io::open_safetensors(folder_ / "l");
  EXPECT_EQ(file->get("latents.2x2").type.shape, (Shape{1, 3, 2, 2}));
  EXPECT_EQ(file->get("latents.2x3").type.shape, (Shape{2, 3, 2, 3}));
  EXPECT_EQ(io::read_metadata(folder_ / "l").at("latents.2x3.ids"), R"(["1-02","1-00"])");
}

TEST_F(SampleCommand, guidance_and_flags_change_what_is_drawn_and_the_backends_agree) {
  const auto latents = [&](const char* name, std::vector<std::string> more) {
    more.insert(more.end(), {"--rows", "0", "--latents", out(name)});
    const CommandResult result = sample(more);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return tensor(name, "latents");
  };
  const std::vector<float> base = latents("base", {});
  EXPECT_NE(latents("g1", {"--guidance", "1"}), base);
  EXPECT_NE(latents("eps", {"--prediction-type", "epsilon"}), base);
  EXPECT_NE(latents("lin", {"--schedule", "scaled_linear"}), base);
  EXPECT_NE(latents("trail", {"--spacing", "trailing"}), base);
  EXPECT_NE(latents("ddim", {"--sampler", "ddim"}), base);
  EXPECT_NE(latents("eta", {"--sampler", "ddim", "--eta", "1"}), latents("ddim", {"--sampler", "ddim"}));
  const std::vector<float> reference = latents("reference", {"--backend", "reference"});
  for (size_t i = 0; i < base.size(); ++i) EXPECT_NEAR(reference[i], base[i], 1e-3 * (1 + std::abs(base[i])));
}

TEST_F(SampleCommand, without_a_scheduler_config_it_says_what_it_assumes) {
  std::filesystem::rename(folder_ / "pipe/unet/config.json", folder_ / "alone.json");
  const CommandResult result = sample({"--rows", "0", "--out", out("a.png")}, "alone.json");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("epsilon prediction and the scaled_linear schedule are assumed"));
  EXPECT_THAT(result.out, HasSubstr("ddim, 3 steps"));
  const CommandResult told =
      sample({"--rows", "0", "--out", out("a.png"), "--prediction-type", "v_prediction", "--schedule", "squaredcos_cap_v2"},
             "alone.json");
  EXPECT_EQ(told.err, "");
}

TEST_F(SampleCommand, names_every_mistake_at_once_and_writes_nothing) {
  const CommandResult result = sample({"--rows", "picture 17 of 0", "--rows", "99", "--sampler", "eular", "--columns", "-1",
                                       "--guidance", "-2", "--out", out("grid.png")});
  EXPECT_EQ(result.exit_code, 2);
  for (const char* part :
       {"[--rows] no row's caption or id is 'picture 17 of 0'; did you mean", "[--rows] there is no row '99'",
        "no sampler 'eular'; did you mean 'euler'", "--columns wants 0 to 1000, not -1", "--guidance wants 0 to 1000, not -2"})
    EXPECT_THAT(result.err, HasSubstr(part));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "grid.png"));
}

TEST_F(SampleCommand, refuses_what_does_not_go_together) {
  write_text(folder_ / "alone.json", "{}");
  EXPECT_THAT(sample({"--rows", "0"}).err, HasSubstr("name a file for the pictures, --out F.png"));
  const CommandResult unwritable = sample({"--rows", "0", "--out", out("alone.json/a.png"), "--latents", out("new/deep/l")});
  EXPECT_EQ(unwritable.exit_code, 2);
  EXPECT_THAT(unwritable.err, HasSubstr("alone.json"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "new"));
  EXPECT_THAT(sample({"--rows", "0", "--out", out("pipe")}).err, HasSubstr("is a folder; --out wants a file"));
  EXPECT_THAT(sample({"--rows", "0", "--out", out("a.png"), "--spacing", "even"}).err,
              HasSubstr("[--spacing] 'even' is no spacing"));
  EXPECT_THAT(sample({"--rows", "0", "--out", out("a.png"), "--schedule", "cosine"}).err,
              HasSubstr("[--schedule] 'cosine' is no noise schedule"));
  EXPECT_THAT(sample({"--rows", "0", "--out", out("a.png"), "--set", "speed=9"}).err, HasSubstr("speed"));
  std::string list = "0-5";  // 6 rows of 2 pixels each, enlarged 64 times
  for (int i = 0; i < 100; ++i) list += ",0-5";
  EXPECT_THAT(sample({"--rows", list, "--columns", "1", "--out", out("b.png")}).err, HasSubstr("sides up to 65535 are written"));
  const std::string four_channels = ESPALIER_SOURCE_DIR "/tests/golden/tiny-sd15/unet";
  const CommandResult other = testing::run_espalier({"sample", four_channels, "--cache", out("cache"), "--rows", "0", "--out",
                                                     out("a.png"), "--prediction-type", "epsilon", "--schedule", "linear"});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, HasSubstr("the model has 4 input channels, the cache 3; they do not go together"));
}

TEST_F(SampleCommand, refuses_files_that_are_one_or_no_png_and_seeds_below_zero) {
  const auto refused = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--rows", "0"});
    const CommandResult result = sample(more);
    EXPECT_EQ(result.exit_code, 2);
    return result.err;
  };
  EXPECT_THAT(refused({"--out", out("x.png"), "--latents", out("x.png")}),
              HasSubstr("x.png] is named by both --out and --latents; each needs a file of its own"));
  EXPECT_THAT(refused({"--out", out("x.png"), "--latents", out("pipe/../x.png")}), HasSubstr("by both --out and --latents"));
  EXPECT_THAT(refused({"--out", out("x.jpg")}), HasSubstr("x.jpg] --out writes a PNG; name a file that ends in .png"));
  EXPECT_THAT(refused({"--out", out("x.png"), "--seed", "-1"}), HasSubstr("[sample] --seed: a seed is 0 or more, not -1"));
  EXPECT_THAT(refused({"--out", out("x.png"), "--seed=-7"}), HasSubstr("a seed is 0 or more, not -7"));
  const CommandResult weights = testing::run_espalier(
      {"sample", out("pipe"), "--cache", out("cache"), "--rows", "0", "--random-weights", "-2", "--out", out("x.png")});
  EXPECT_EQ(weights.exit_code, 2);
  EXPECT_THAT(weights.err, HasSubstr("a seed is 0 or more, not -2"));
  for (const char* file : {"x.png", "x.jpg"}) EXPECT_FALSE(std::filesystem::exists(folder_ / file));
  EXPECT_EQ(sample({"--rows", "0", "--out", out("Y.PNG"), "--latents", out("y.png")}).exit_code, 0);
}

TEST_F(SampleCommand, latents_of_a_vae_are_written_and_not_drawn) {
  const auto index = folder_ / "cache/index.json";
  std::string text = read_text(index);
  text.replace(text.find("\"identity\""), 10, "\"vae\"");
  write_text(index, text);
  const CommandResult refused = sample({"--rows", "0", "--out", out("a.png")});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("the codec 'vae', which espalier cannot turn into pictures; leave out --out"));
  const CommandResult written = sample({"--rows", "0-1", "--latents", out("l")});
  EXPECT_EQ(written.exit_code, 0) << written.err;
  EXPECT_EQ(tensor("l", "latents").size(), 24u);
}

}  // namespace
}  // namespace espalier
