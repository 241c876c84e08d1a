// What SDXL → SSD-1B at 1024 pixels takes of a GPU, from the example's recipe, planned on described devices. The teacher has
// SDXL's structure and f16 weights that are a hole in a file.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "core/data/cache_writer.h"
#include "tests/support/run_command.h"
#include "tests/support/sparse_model.h"
#include "tests/support/tiny_cache.h"

namespace espalier {
namespace {

namespace fs = std::filesystem;
using testing::CommandResult;
using ::testing::HasSubstr;

class DistillCudaSdxl : public testing::FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    testing::write_sparse_model(folder_ / "sdxl" / "unet", ESPALIER_SOURCE_DIR "/tests/configs/sdxl-base-unet.json");
    data::CacheInfo info;
    info.codec = "vae", info.channels = 4, info.tokens = 77, info.embedding = 2048, info.pooled = 1280, info.source = "made up";
    data::CacheWriter writer(folder_ / "cache", info, DType::kF16);
    const auto zeros = [](const Shape& shape) {
      return exec::FloatTensor{shape, std::vector<float>(static_cast<size_t>(shape.elements()))};
    };
    const data::Conditioning conditioning{zeros({77, 2048}), zeros({1280}), zeros({6})};
    for (int row = 0; row < 34; ++row) writer.add(std::to_string(row), "", zeros({128, 128, 4}), conditioning);
    writer.finish({zeros({77, 2048}), zeros({1280}), {}});
  }

  CommandResult dry_run(std::vector<std::string> more) const {
    std::vector<std::string> words{ESPALIER_BUILD_DIR "/bin/espalier",
                                   "distill",
                                   ESPALIER_SOURCE_DIR "/examples/real-sdxl/ssd-1b-cuda.toml",
                                   "--set",
                                   "teacher.model=" + (folder_ / "sdxl").string(),
                                   "--set",
                                   "data.path=" + (folder_ / "cache").string(),
                                   "--plugin",
                                   ESPALIER_BUILD_DIR "/test_plugins/cuda_double.esp.so",
                                   "--backend",
                                   "cuda",
                                   "--dry-run"};
    words.insert(words.end(), more.begin(), more.end());
    return testing::run_command(words, {}, 600);
  }
};

/// "sum   18.2 GiB" of the table under `title`.
double gib_of(const std::string& text, const std::string& title) {
  const size_t at = text.find(title);
  std::smatch match;
  const std::string rest = at == std::string::npos ? "" : text.substr(at);
  return std::regex_search(rest, match, std::regex("sum +([0-9.]+) GiB")) ? std::stod(match[1]) : -1;
}

TEST_F(DistillCudaSdxl, batch_1_in_bf16_with_checkpointing_and_8_bit_adamw_fits_into_22_gib_with_every_call_on_the_device) {
  const CommandResult planned = dry_run({"--device", "RTX4090-24GB"});
  ASSERT_EQ(planned.exit_code, 0) << planned.err;
  std::printf("%s%.1f s\n", planned.out.c_str(), planned.ms / 1000);
  const double device = gib_of(planned.out, "memory of the device");
  EXPECT_GT(device, 12);  // the state alone
  EXPECT_LE(device, 22);
}

TEST_F(DistillCudaSdxl, in_f32_without_checkpointing_it_is_refused_with_the_sum) {
  const CommandResult refused = dry_run({"--device", "RTX4090-24GB", "--set", "train.precision=f32", "--set",
                                         "train.recompute_above_mib=1000000", "--set", "train.optimizer.use=adamw"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("of the device's memory, and cuda has 24"));
  EXPECT_GT(gib_of(refused.err, "[memory]"), 24);
}

}  // namespace
}  // namespace espalier
