// Input that is wrong, through the binary: the exact message, exit code 2, nothing written, and in a release build little
// time and memory. Each case gets a folder {D} with a good model in {D}/unet and breaks something in it.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

#include "tests/support/run_command.h"
#include "tests/support/safetensors_bytes.h"

namespace espalier {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using testing::CommandResult;
using testing::file_of;
using testing::length_bytes;
using testing::one_tensor;
using testing::repeat;
using testing::run_espalier;
using testing::zeros;

const fs::path kGoodModel = ESPALIER_SOURCE_DIR "/tests/golden/tiny-sdxl/unet";
const std::string kWeights = "unet/diffusion_pytorch_model.safetensors";
const std::string kTeacher = "sha256:" + std::string(64, '0');

using Prepare = std::function<void(const fs::path& folder)>;

struct BadInput {
  std::string name;
  Prepare prepare;
  std::vector<std::string> arguments;
  std::string message;  // all of stderr; {D} is the folder
};
void PrintTo(const BadInput& input, std::ostream* out) { *out << input.name; }

std::string with_folder(std::string text, const fs::path& folder) {
  for (size_t at = text.find("{D}"); at != std::string::npos; at = text.find("{D}", at)) text.replace(at, 3, folder.string());
  return text;
}

void put(const fs::path& file, const std::string& bytes) { std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes; }

std::string get(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  if (at == std::string::npos) throw std::runtime_error("the good model has no " + from);
  return text.replace(at, from.size(), to);
}

Prepare weights(const std::function<std::string()>& bytes) {
  return [bytes](const fs::path& folder) { put(folder / kWeights, bytes()); };
}
/// Replaces in the weights' header, keeping its length.
Prepare header_edit(const std::string& from, const std::string& to) {
  return [from, to](const fs::path& folder) { put(folder / kWeights, replaced(get(folder / kWeights), from, to)); };
}
Prepare config(const std::string& json) {
  return [json](const fs::path& folder) { put(folder / "unet/config.json", json); };
}
Prepare config_edit(const std::string& from, const std::string& to) {
  return [from, to](const fs::path& folder) {
    put(folder / "unet/config.json", replaced(get(folder / "unet/config.json"), from, to));
  };
}
Prepare plan(const std::string& toml) {
  return [toml](const fs::path& folder) { put(folder / "plan.toml", toml); };
}
Prepare index_file(const std::string& json) {
  return [json](const fs::path& folder) {
    fs::rename(folder / kWeights, folder / "unet/one.safetensors");
    put(folder / (kWeights + ".index.json"), json);
  };
}
const Prepare kNothing = [](const fs::path&) {};

const std::vector<std::string> kInspect = {"inspect", "{D}/unet"};
const std::vector<std::string> kPrune = {"prune", "{D}/unet", "--plan", "{D}/plan.toml", "--out", "{D}/out"};

/// The structure hash of the good model.
std::string good_hash() {
  const std::string json = run_espalier({"inspect", kGoodModel.string(), "--json"}).out;
  const size_t at = json.find("sha256:");
  return at == std::string::npos ? "" : json.substr(at, kTeacher.size());
}

#include "tests/cli/bad_input_cases.inc"

std::map<std::string, std::pair<uintmax_t, int64_t>> listing(const fs::path& folder) {
  std::map<std::string, std::pair<uintmax_t, int64_t>> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    files[entry.path().string()] = {entry.is_regular_file() ? entry.file_size() : 0,
                                    entry.is_symlink() ? 0 : entry.last_write_time().time_since_epoch().count()};
  return files;
}

class BadInputs : public ::testing::TestWithParam<BadInput> {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "espalier-bad-input-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    fs::copy(kGoodModel, folder_ / "unet");
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

uint64_t baseline_bytes() {
  static const uint64_t kBytes = run_espalier({"inspect", kGoodModel.string()}).peak_rss_bytes;
  return kBytes;
}

TEST_P(BadInputs, is_refused) {
  GetParam().prepare(folder_);
  std::vector<std::string> arguments;
  for (const std::string& argument : GetParam().arguments) arguments.push_back(with_folder(argument, folder_));
  const auto before = listing(folder_);
  const CommandResult result = run_espalier(arguments);
  EXPECT_EQ(result.exit_code, 2) << "signal " << result.signal;
  EXPECT_EQ(result.err, with_folder(GetParam().message, folder_) + "\n");
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(listing(folder_), before);
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LE(result.peak_rss_bytes, baseline_bytes() + (uint64_t{64} << 20));
  double fastest = result.ms;  // the machine may be busy
  for (int again = 0; again < 5 && fastest > 100; ++again) fastest = std::min(fastest, run_espalier(arguments).ms);
  EXPECT_LE(fastest, 100);
#else
  (void)baseline_bytes;
#endif
}

INSTANTIATE_TEST_SUITE_P(Cli, BadInputs, ::testing::ValuesIn(bad_inputs()), [](const auto& info) { return info.param.name; });

TEST(BadInput, the_model_that_is_broken_here_is_good) {
  const CommandResult result = run_espalier({"inspect", kGoodModel.string()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

}  // namespace
}  // namespace espalier
