// What SDXL → SSD-1B at 1024 pixels takes of a GPU, from the example's recipe, planned on described devices.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "tests/support/sdxl_run.h"

namespace espalier {
namespace {

using testing::CommandResult;
using ::testing::HasSubstr;

class DistillCudaSdxl : public testing::SdxlRun {
 protected:
  CommandResult dry_run(const std::vector<std::string>& more) const { return SdxlRun::dry_run("cuda_double.esp.so", more); }
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
