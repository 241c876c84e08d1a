// The cuda backend's plugin, with NVIDIA's libraries, on a machine without a device.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/run_command.h"

namespace espalier {
namespace {

using ::testing::HasSubstr;
using testing::CommandResult;

const std::string kConfig = ESPALIER_SOURCE_DIR "/tests/configs/ssd-1b-unet.json";

CommandResult explain(std::vector<std::string> more) {
  std::vector<std::string> words{"inspect", kConfig, "--explain", "--backend", "cuda"};
  words.insert(words.end(), more.begin(), more.end());
  return testing::run_espalier(words);
}

TEST(CudaPlugin, loads_anywhere_and_says_why_there_is_no_device) {
  EXPECT_THAT(testing::run_espalier({"plugin", "list"}).out, HasSubstr("espalier.backend.cuda"));
  const CommandResult result = explain({});
  if (result.exit_code == 0) GTEST_SKIP() << "this machine has a device";
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("[espalier.backend.cuda] there is no CUDA device: "));
  EXPECT_THAT(result.err, HasSubstr("for --device A100-80GB, H100-80GB"));
}

TEST(CudaPlugin, plans_every_call_of_a_model_for_a_described_device_in_every_precision) {
  for (const char* precision : {"f32", "bf16", "f16"}) {
    const CommandResult result = explain({"--device", "H100-80GB", "--precision", precision});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("backend  H100-80GB: compute capability 9.0, a description"));
    EXPECT_THAT(result.out, Not(HasSubstr("reference"))) << precision;
  }
}

}  // namespace
}  // namespace espalier
