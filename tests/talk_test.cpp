// A child that is spoken to: whatever it does, its host neither waits for it nor dies with it.

#include "core/base/talk.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "core/base/error.h"
#include "core/base/tail.h"

namespace espalier {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

class TalkTest : public ::testing::Test {
 protected:
  TalkTest() { fs::remove(log_); }
  ~TalkTest() override { fs::remove(log_); }
  std::vector<std::string> sh(const std::string& script) const { return {"sh", "-c", script}; }
  /// The next line within ten seconds.
  static std::optional<std::string> wait_for_line(Talk& talk) {
    for (int i = 0; i < 2000 && !talk.gone() && !talk.babbles(); ++i) {
      if (auto line = talk.hear()) return line;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return talk.hear();
  }
  fs::path log_ = fs::temp_directory_path() / ("espalier_talk_" + std::to_string(::getpid()) + ".log");
};

TEST_F(TalkTest, lines_go_both_ways_and_stderr_to_the_log) {
  Talk talk(sh("while read line; do echo \"got $line\"; echo \"log $line\" >&2; done"), log_);
  talk.say("a");
  talk.say("b c");
  EXPECT_EQ(wait_for_line(talk), "got a");
  EXPECT_EQ(wait_for_line(talk), "got b c");
  EXPECT_FALSE(talk.gone());
  for (int i = 0; i < 400 && last_line_of(log_) != "log b c"; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(last_line_of(log_), "log b c");
  EXPECT_EQ(last_line_of(log_, fs::file_size(log_)), "") << "what was there before does not count";
}

TEST_F(TalkTest, a_child_that_never_reads_does_not_hold_up_its_host) {
  const auto begin = Clock::now();
  {
    Talk talk(sh("exec sleep 100"), log_);
    talk.say(std::string(1 << 20, 'x'));  // more than a pipe takes
    EXPECT_FALSE(talk.hear().has_value());
    EXPECT_LT(Clock::now() - begin, std::chrono::seconds(2));
  }
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(20)) << "and it is killed in the end";
}

TEST_F(TalkTest, a_long_line_arrives_whole_in_either_direction) {
  Talk talk({"cat"}, log_);
  const std::string line(Talk::kMostLine - 10, 'y');
  talk.say(line);
  EXPECT_EQ(wait_for_line(talk), line);
}

TEST_F(TalkTest, speaking_to_a_dead_child_is_no_signal_and_gone_says_so) {
  Talk talk(sh("exit 7"), log_);
  EXPECT_EQ(wait_for_line(talk), std::nullopt);
  EXPECT_TRUE(talk.gone());
  for (int i = 0; i < 3; ++i) talk.say("anybody there?");
  std::optional<ChildEnd> end;
  for (int i = 0; i < 2000 && !(end = talk.poll()); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->text(), "exit code 7");
}

TEST_F(TalkTest, a_line_that_was_cut_off_is_none) {
  Talk talk(sh("printf 'whole\\nhal'"), log_);
  EXPECT_EQ(wait_for_line(talk), "whole");
  EXPECT_EQ(wait_for_line(talk), std::nullopt);
  EXPECT_TRUE(talk.gone());
}

TEST_F(TalkTest, a_stream_without_lines_is_not_gathered_without_end) {
  Talk talk(sh("exec cat /dev/zero"), log_);
  EXPECT_EQ(wait_for_line(talk), std::nullopt);
  EXPECT_TRUE(talk.babbles());
}

TEST_F(TalkTest, a_program_that_is_not_there_is_an_error_with_its_name) {
  try {
    Talk talk({"/nowhere/search.py"}, log_);
    FAIL() << "it started";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "[/nowhere/search.py] cannot be started: No such file or directory");
  }
}

}  // namespace
}  // namespace espalier
