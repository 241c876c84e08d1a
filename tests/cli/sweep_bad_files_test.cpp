// Sweep files that are refused: every fault at once, with its place, before anything runs.

#include <gmock/gmock.h>

#include "core/base/text.h"
#include "tests/support/sweep_run.h"

namespace espalier::testing {
namespace {

using ::testing::HasSubstr;

struct BadFile {
  const char* name;
  const char* text;                   // of s.toml; line 1 is its first
  std::vector<const char*> messages;  // each a part of one line of stderr, in order, after "s.toml"'s folder
};

void PrintTo(const BadFile& bad, std::ostream* out) { *out << bad.name; }

const std::vector<BadFile>& bad_files() {
  static const std::vector<BadFile> files{
#include "tests/cli/sweep_bad_files.inc"
  };
  return files;
}

class SweepBadFile : public ::testing::TestWithParam<BadFile> {};

TEST_P(SweepBadFile, is_refused) {
  const BadFile& bad = GetParam();
  const DistillRun run(std::string("bad_sweep_") + bad.name);
  write_sweep_base(run, 2);
  run.write("s.toml", bad.text);
  for (const bool dry : {true, false}) {
    const CommandResult result =
        sweep(run, "s.toml", "out", dry ? std::vector<std::string>{"-q", "--dry-run"} : std::vector<std::string>{"-q"});
    EXPECT_EQ(result.exit_code, 2) << result.out;
    std::vector<std::string> lines = split(result.err, '\n');
    std::erase(lines, "");
    ASSERT_EQ(lines.size(), bad.messages.size()) << result.err;
    for (size_t i = 0; i < lines.size(); ++i) EXPECT_THAT(lines[i], HasSubstr(bad.messages[i]));
    EXPECT_FALSE(std::filesystem::exists(run.path("out"))) << "something was written";
  }
}

INSTANTIATE_TEST_SUITE_P(Cli, SweepBadFile, ::testing::ValuesIn(bad_files()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(SweepBadFiles, are_at_least_thirty) { EXPECT_GE(bad_files().size(), 30u); }

}  // namespace
}  // namespace espalier::testing
