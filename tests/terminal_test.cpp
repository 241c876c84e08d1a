// What goes to the user's terminal: aligned tables, progress lines, log lines.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/progress.h"
#include "core/base/terminal.h"

namespace espalier {
namespace {

using terminal::Table;

TEST(Table, aligns_columns_by_what_is_seen_and_not_by_bytes) {
  Table table({Table::Align::kLeft, Table::Align::kRight, Table::Align::kLeft});
  table.header({"block", "n", ""});
  table.row({"320 → 640", "5", "x"});
  table.row({"\x1b[1mbold\x1b[0m", "1,234"});
  EXPECT_EQ(table.text(),
            "block          n\n"
            "320 → 640      5  x\n"
            "\x1b[1mbold\x1b[0m       1,234\n");
}

TEST(Table, refuses_more_cells_than_columns) {
  Table table({Table::Align::kLeft});
  EXPECT_THROW(table.row({"a", "b"}), InternalError);
}

TEST(Progress, a_line_has_amount_share_rate_and_time_left) {
  EXPECT_EQ(progress_line("reading", 256 << 20, 1024 << 20, ProgressUnit::kBytes, 2.0),
            "reading  256.00 MiB of 1.00 GiB  25%  128.00 MiB/s  6 s left");
  EXPECT_EQ(progress_line("blocks", 7, 0, ProgressUnit::kCount, 2.0), "blocks  7  3.5/s");
  EXPECT_EQ(progress_line("blocks", 10, 4010, ProgressUnit::kCount, 10.0), "blocks  10 of 4010  0%  1/s  1 h 6 min left");
}

TEST(Progress, says_nothing_about_what_is_quick) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress("quick", 10);
    for (int i = 0; i < 10; ++i) progress.add(1, "item");
    EXPECT_EQ(progress.done(), 10u);
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

class Log : public ::testing::Test {
 protected:
  void TearDown() override { log::configure("", 0); }
};

TEST_F(Log, shows_warnings_unasked_and_the_rest_by_category_and_level) {
  log::configure("pass:debug,exec", 0);
  EXPECT_TRUE(log::enabled(log::Category::kPass, log::Level::kDebug));
  EXPECT_TRUE(log::enabled(log::Category::kExec, log::Level::kInfo));
  EXPECT_FALSE(log::enabled(log::Category::kExec, log::Level::kDebug));
  EXPECT_TRUE(log::enabled(log::Category::kMem, log::Level::kWarning));
  EXPECT_FALSE(log::enabled(log::Category::kMem, log::Level::kInfo));
}

TEST_F(Log, verbosity_moves_every_category) {
  log::configure("", 1);
  EXPECT_TRUE(log::enabled(log::Category::kMem, log::Level::kInfo));
  log::configure("", -1);
  EXPECT_FALSE(log::enabled(log::Category::kMem, log::Level::kWarning));
  EXPECT_TRUE(log::quiet());
}

TEST_F(Log, has_one_line_format) {
  ::testing::internal::CaptureStderr();
  log::warning(log::Category::kPlugin, "x.esp.so refused");
  log::info(log::Category::kPlugin, "not asked for");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "espalier [plugin] warning: x.esp.so refused\n");
}

TEST_F(Log, refuses_unknown_names_all_at_once) {
  try {
    log::configure("pss,exec:lots", 0);
    FAIL() << "accepted";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("unknown category 'pss'"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("unknown level 'lots'"));
  }
}

}  // namespace
}  // namespace espalier
