// The whole path of a small UNet through the binary: inspect, prune, run teacher and student, export, run again, diff.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/io/safetensors.h"
#include "tests/support/run_command.h"

namespace espalier {
namespace {

namespace fs = std::filesystem;
using testing::CommandResult;
using testing::run_espalier;

const fs::path kGolden = fs::path(ESPALIER_SOURCE_DIR) / "tests/golden/tiny-sdxl";

std::string bytes_of(const io::TensorSource& source, const std::string& name) {
  const io::TensorRef tensor = source.get(name);
  return {reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()};
}

std::vector<float> floats_of(const io::TensorSource& source, const std::string& name) {
  const io::TensorRef tensor = source.get(name);
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

class TinyFlow : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / ("espalier-flow-" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string at(const std::string& name) const { return (folder_ / name).string(); }

  /// Runs a command that must succeed and returns what it printed.
  std::string must(std::vector<std::string> arguments) {
    const CommandResult result = run_espalier(std::move(arguments));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  }
  std::string run(const std::string& model, const std::string& outputs) {
    return must(
        {"run", model, "--inputs", (kGolden / "inputs.safetensors").string(), "--outputs", at(outputs), "--backend", "cpu"});
  }

  fs::path folder_;
};

TEST_F(TinyFlow, teacher_student_and_single_file_agree_all_the_way) {
  const std::string teacher = kGolden.string();
  const nlohmann::json before = nlohmann::json::parse(must({"inspect", teacher, "--json"}));

  const std::string said = must({"prune", teacher, "--use", "espalier.prune.first-k", "--set", "keep=1", "--out", at("student")});
  const nlohmann::json after = nlohmann::json::parse(must({"inspect", at("student"), "--json"}));
  EXPECT_EQ(before.at("transformer_blocks"), 34);
  EXPECT_EQ(after.at("transformer_blocks"), 11) << said;
  EXPECT_LT(after.at("parameters"), before.at("parameters"));

  run(teacher, "teacher.safetensors");
  run(at("student"), "student.safetensors");
  const io::TensorSourcePtr ours = io::open_safetensors(at("teacher.safetensors"));
  const io::TensorSourcePtr theirs = io::open_safetensors(kGolden / "outputs.safetensors");
  const std::vector<float> a = floats_of(*ours, "sample"), b = floats_of(*theirs, "sample");
  ASSERT_EQ(a.size(), b.size());
  float largest = 0, error = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(b[i]));
    error = std::max(error, std::abs(a[i] - b[i]));
  }
  EXPECT_LE(error, 1e-4f * largest + 1e-5f);
  const io::TensorSourcePtr student = io::open_safetensors(at("student.safetensors"));
  EXPECT_NE(bytes_of(*student, "sample"), bytes_of(*ours, "sample"));

  must({"export", at("student"), "--as", "single-file", "--out", at("single.safetensors")});
  run(at("single.safetensors"), "again.safetensors");
  const io::TensorSourcePtr again = io::open_safetensors(at("again.safetensors"));
  EXPECT_EQ(bytes_of(*again, "sample"), bytes_of(*student, "sample"));

  const CommandResult difference = run_espalier({"diff", teacher, at("student")});
  EXPECT_EQ(difference.exit_code, 1) << "1: they differ";
  EXPECT_NE(difference.out.find("mid_block.attentions.0.transformer_blocks.1"), std::string::npos) << difference.out;
  EXPECT_NE(difference.out.find("500 tensors are equal byte for byte"), std::string::npos) << difference.out;
  EXPECT_EQ(run_espalier({"diff", at("student"), at("single.safetensors")}).exit_code, 0);
}

TEST_F(TinyFlow, the_plan_that_was_written_makes_the_same_student) {
  must({"prune", kGolden.string(), "--use", "espalier.prune.evenly-spaced", "--set", "keep=2", "--out", at("first")});
  must({"prune", kGolden.string(), "--plan", at("first/plan.toml"), "--out", at("second")});
  const std::string weights = "/unet/diffusion_pytorch_model.safetensors";
  const io::TensorSourcePtr first = io::open_safetensors(at("first" + weights)),
                            second = io::open_safetensors(at("second" + weights));
  ASSERT_EQ(first->names(), second->names());
  for (const std::string& name : first->names()) EXPECT_EQ(bytes_of(*first, name), bytes_of(*second, name)) << name;
}

TEST_F(TinyFlow, a_student_is_never_written_over_something_else) {
  fs::create_directories(at("student"));
  std::ofstream(at("student/precious.txt")) << "mine";
  const CommandResult result =
      run_espalier({"prune", kGolden.string(), "--use", "espalier.prune.first-k", "--set", "keep=1", "--out", at("student")});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err.rfind("espalier: ", 0), 0u) << result.err;
  EXPECT_EQ(std::distance(fs::directory_iterator(at("student")), fs::directory_iterator()), 1);
}

}  // namespace
}  // namespace espalier
