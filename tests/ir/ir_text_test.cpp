// Registers one test per .eir file under tests/ir: text.ir/passes/cse is tests/ir/passes/cse.eir.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "core/base/files.h"
#include "tests/support/text_test.h"

namespace {

class TextTest : public testing::Test {
 public:
  explicit TextTest(std::filesystem::path file) : file_(std::move(file)) {}
  void TestBody() override {
    const std::string wrong = espalier::testing::run_text_test(espalier::read_text(file_));
    EXPECT_TRUE(wrong.empty()) << file_.string() << "\n" << wrong;
  }

 private:
  std::filesystem::path file_;
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const std::filesystem::path tests = std::filesystem::path(ESPALIER_SOURCE_DIR) / "tests";
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(tests / "ir"))
    if (entry.path().extension() == ".eir") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& file : files) {
    const std::string name = std::filesystem::relative(file, tests).replace_extension().generic_string();
    testing::RegisterTest("text", name.c_str(), nullptr, nullptr, file.c_str(), 1,
                          [file]() -> testing::Test* { return new TextTest(file); });
  }
  return RUN_ALL_TESTS();
}
