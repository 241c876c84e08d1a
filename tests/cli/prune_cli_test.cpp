// prune, export and diff as a user meets them: what they print, how they refuse, and that a refusal writes nothing.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/support/run_command.h"

namespace espalier {
namespace {

namespace fs = std::filesystem;
using testing::CommandResult;
using testing::run_espalier;

const std::string kConfigs = ESPALIER_SOURCE_DIR "/tests/configs/";
const std::string kTiny = ESPALIER_SOURCE_DIR "/tests/golden/tiny-sdxl/unet";

class PruneCli : public ::testing::Test {
 public:
  PruneCli() {
    std::string name = ::testing::TempDir() + "/espalier-prune-XXXXXX";
    if (mkdtemp(name.data()) != nullptr) folder_ = name;
  }
  ~PruneCli() override { fs::remove_all(folder_); }

 protected:
  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  bool nothing_written() const { return fs::is_empty(folder_); }

  fs::path folder_;
};

TEST_F(PruneCli, prints_figures_certificate_and_verdicts) {
  const CommandResult result =
      run_espalier({"prune", kConfigs + "sdxl-base-unet.json", "--use", "espalier.prune.ssd-1b", "--out", at("ssd")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* part : {"2,567,463,684  1,331,334,404  51.9%", "1,680            944", "identity certificate  holds (",
                           "comfyui               opens it as SSD-1B", "stable-diffusion.cpp  opens it as SSD-1B"})
    EXPECT_NE(result.out.find(part), std::string::npos) << part << "\n" << result.out;
  EXPECT_NE(result.err.find("note: origin of the kept blocks is inferred"), std::string::npos) << result.err;
  const CommandResult diff = run_espalier({"diff", at("ssd/unet/config.json"), kConfigs + "ssd-1b-unet.json"});
  EXPECT_EQ(diff.exit_code, 0) << diff.out << diff.err;
  EXPECT_EQ(diff.out.rfind("same structure, 1,331,334,404 parameters", 0), 0u) << diff.out;
}

TEST_F(PruneCli, dry_run_writes_nothing) {
  const CommandResult result = run_espalier({"prune", kTiny, "--use", "espalier.prune.first-k", "--set", "keep=1", "--dry-run"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("holds ("), std::string::npos);
  EXPECT_TRUE(nothing_written());
}

TEST_F(PruneCli, plan_of_a_student_makes_it_again_byte_for_byte) {
  ASSERT_EQ(run_espalier({"prune", kTiny, "--use", "espalier.prune.magnitude", "--set", "keep=2", "--out", at("a")}).exit_code,
            0);
  ASSERT_EQ(run_espalier({"prune", kTiny, "--plan", at("a/plan.toml"), "--out", at("b")}).exit_code, 0);
  for (const char* file : {"plan.toml", "origin.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors"}) {
    std::ifstream a(folder_ / "a" / file, std::ios::binary), b(folder_ / "b" / file, std::ios::binary);
    const std::string left{std::istreambuf_iterator<char>(a), {}}, right{std::istreambuf_iterator<char>(b), {}};
    EXPECT_GT(left.size(), 100u) << file;
    EXPECT_TRUE(left == right) << file;
  }
  const CommandResult diff = run_espalier({"diff", kTiny, at("a")});
  EXPECT_EQ(diff.exit_code, 1);
  EXPECT_NE(diff.out.find("is a student of"), std::string::npos) << diff.out;
  EXPECT_EQ(diff.out.find("tensors of other contents"), std::string::npos) << diff.out;
  EXPECT_EQ(run_espalier({"diff", at("a/plan.toml"), at("b/plan.toml")}).exit_code, 0);
}

TEST_F(PruneCli, pads_for_diffusers_what_no_config_expresses) {
  std::vector<std::string> arguments = {
      "prune", kTiny,  "--use", "espalier.prune.blocks", "--set", R"(remove=["down_blocks.2.attentions.0.transformer_blocks.1"])",
      "--out", at("s")};
  const CommandResult refused = run_espalier(arguments);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("add mid_block.attentions.0.transformer_blocks.3"), std::string::npos) << refused.err;
  arguments.insert(arguments.end(), {"--pad", "diffusers"});
  const CommandResult padded = run_espalier(arguments);
  EXPECT_EQ(padded.exit_code, 0) << padded.err;
  EXPECT_NE(padded.out.find("padded for diffusers: 6 tensors are zero"), std::string::npos) << padded.out;
  EXPECT_EQ(run_espalier({"inspect", at("s"), "-q"}).exit_code, 0);
}

TEST_F(PruneCli, never_overwrites_a_folder) {
  fs::create_directories(folder_ / "there");
  std::ofstream(folder_ / "there/file") << "mine";
  const CommandResult result =
      run_espalier({"prune", kTiny, "--use", "espalier.prune.first-k", "--set", "keep=1", "--out", at("there")});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err, "espalier: " + at("there") + " exists; choose another or remove it\n");
  EXPECT_EQ(result.out, "") << "known before any work is done";
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "there"), fs::directory_iterator{}), 1);
}

struct Refusal {
  std::vector<std::string> arguments;  // OUT stands for a path in the test's folder
  std::string message;                 // all of stderr
};

TEST_F(PruneCli, refuses_with_exit_code_2_and_writes_nothing) {
  const std::string sdxl = kConfigs + "sdxl-base-unet.json";
  const std::vector<Refusal> refusals = {
      {{"prune", kTiny},
       "espalier: [prune] what to remove is missing; give --plan FILE or --use ID (`espalier plugin list` names them)\n"
       "espalier: [prune] --out is missing; give a folder, or --dry-run to see what would be done\n"},
      {{"prune", kTiny, "--use", "x", "--plan", "y", "--out", "OUT"},
       "espalier: [prune] --plan and --use exclude each other; give one\n"},
      {{"prune", kTiny, "--plan", "y", "--set", "a=b", "--out", "OUT"},
       "espalier: [prune] --set gives a pruner's parameters and needs --use\n"},
      {{"prune", sdxl, "--use", "espalier.prune.magnitude", "--set", "keep=4", "--out", "OUT"},
       "espalier: [espalier.prune.magnitude] ranks blocks by their weights and this model is a config alone; give a model folder "
       "or a "
       "checkpoint, or use espalier.prune.first-k, evenly-spaced or random\n"},
      {{"prune", sdxl, "--use", "espalier.prune.first-k", "--set", "keeep=4", "--set", "keep=-1", "--out", "OUT"}, ""},
      {{"prune", sdxl, "--use", "espalier.prune.first-k", "--set", "like=espalier.prune.bk-sdm-base", "--out", "OUT"}, ""},
      {{"prune", sdxl, "--use", "espalier.prune.first-k", "--set", "keep=3", "--pad", "comfui", "--out", "OUT"},
       "espalier: unknown loader 'comfui'; known are diffusers, comfyui, stable-diffusion.cpp; did you mean 'comfyui'?\n"},
      {{"export", kTiny, "--as", "singlefile", "--dtype", "f8", "--out", "OUT"},
       "espalier: [export] --as wants diffusers or single-file, not 'singlefile'; did you mean 'single-file'?\n"
       "espalier: [export] --dtype wants f16, bf16 or f32, not 'f8'; did you mean 'f16' or 'f32'?\n"},
      {{"export", sdxl, "--as", "diffusers", "--out", "OUT"},
       "espalier: " + sdxl + ": a config alone has no weights to export; give a model folder or a checkpoint\n"},
      {{"diff", kTiny, "plan.toml"},
       "espalier: [diff] plan.toml is a removal plan and " + kTiny + " is not; compare two models or two plans\n"},
  };
  for (const Refusal& refusal : refusals) {
    std::vector<std::string> arguments = refusal.arguments;
    for (std::string& argument : arguments)
      if (argument == "OUT") argument = at("out");
    const CommandResult result = run_espalier(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    if (refusal.message.empty()) {
      EXPECT_EQ(result.err.rfind("espalier: --set ", 0), 0u) << result.err;  // in the host's words: tests/plugins
    } else {
      EXPECT_EQ(result.err, refusal.message);
    }
    EXPECT_EQ(result.out, "");
    EXPECT_TRUE(nothing_written()) << refusal.message;
  }
}

}  // namespace
}  // namespace espalier
