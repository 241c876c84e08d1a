// Every matrix product, convolution and attention that the cuda backend asks for, shown to cuBLASLt and cuDNN as far as these can
// judge without a device: descriptors, extents, strides, types, what fused attention takes. What they refuse has no plan, and
// a call without a plan has no kernel.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/support/sdxl_run.h"

namespace espalier {
namespace {

using testing::CommandResult;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kLibraries = ESPALIER_BUILD_DIR "/test_plugins/cuda_libraries.esp.so";
const std::string kEmojiTeacher = ESPALIER_SOURCE_DIR "/examples/emoji/teacher";

class CudaLibraries : public testing::SdxlRun {
 protected:
  /// Lines of shapes that were shown: "product …", "convolution …", "attention …"; refused ones say so.
  std::vector<std::string> shapes() const {
    std::ifstream in(log());
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  std::string log() const { return (folder_ / "shapes").string(); }
  std::vector<std::string> environment() const { return {"ESPALIER_CUDA_SHAPES=" + log()}; }
  void expect_all_taken(size_t products, size_t convolutions, size_t attentions) const {
    std::map<std::string, std::set<std::string>> by_kind;
    for (const std::string& line : shapes()) {
      // In f32 attention is taken apart into products and softmax.
      if (line.find("attention") != line.npos && line.find(" f32: refused: cuDNN's attention takes f16 and bf16") != line.npos)
        continue;
      EXPECT_THAT(line, Not(HasSubstr("refused")));
      by_kind[line.substr(0, line.find_first_of(" '"))].insert(line);
    }
    std::printf("%zu products, %zu convolutions, %zu attentions\n", by_kind["product"].size(), by_kind["convolution"].size(),
                by_kind["attention"].size());
    EXPECT_EQ(by_kind["product"].size(), products);
    EXPECT_EQ(by_kind["convolution"].size(), convolutions);
    EXPECT_EQ(by_kind["attention"].size(), attentions);
  }
};

TEST_F(CudaLibraries, take_every_shape_of_sdxl_to_ssd_1b_at_1024_pixels_forward_and_backward) {
  const CommandResult planned = dry_run("cuda_libraries.esp.so", {"--device", "libraries"}, environment());
  ASSERT_EQ(planned.exit_code, 0) << planned.err;
  expect_all_taken(67, 53, 8);
}

TEST_F(CudaLibraries, take_every_shape_of_the_emoji_teacher) {
  for (const char* precision : {"f32", "bf16"}) {
    const CommandResult result =
        testing::run_command({testing::kEspalier, "inspect", kEmojiTeacher, "--explain", "--plugin", kLibraries, "--backend",
                              "cuda", "--device", "libraries", "--precision", precision},
                             environment());
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out, Not(HasSubstr("reference")));
  }
  expect_all_taken(64, 36, 4);
}

}  // namespace
}  // namespace espalier
