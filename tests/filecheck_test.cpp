// The checker checked: each directive passes where it should, and fails where the expectation is wrong.

#include "tests/support/filecheck.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/text_test.h"

namespace espalier::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kText = R"(graph @one {
  %a = conv2d %x, %w
  %b = silu   %a
  %c = add %b, %a
}
graph @two {
  %b = silu %x
}
)";

TEST(Filecheck, finds_matches_in_order) { EXPECT_THAT(filecheck("// CHECK: conv2d\n// CHECK: add", kText), IsEmpty()); }

TEST(Filecheck, fails_on_matches_out_of_order_and_says_where) {
  const std::string what = filecheck("\n// CHECK: add\n// CHECK: conv2d", kText, 10);
  EXPECT_THAT(what, HasSubstr("line 12: no match for 'conv2d'"));
  EXPECT_THAT(what, HasSubstr("| }"));
}

TEST(Filecheck, two_checks_need_two_matches) {
  EXPECT_THAT(filecheck("// CHECK: conv2d\n// CHECK: conv2d", kText), HasSubstr("no match"));
}

TEST(Filecheck, blanks_count_as_one) { EXPECT_THAT(filecheck("// CHECK:   %b  =  silu %a", kText), IsEmpty()); }

TEST(Filecheck, next_means_the_very_next_line) {
  EXPECT_THAT(filecheck("// CHECK: conv2d\n// CHECK-NEXT: silu", kText), IsEmpty());
  EXPECT_THAT(filecheck("// CHECK: conv2d\n// CHECK-NEXT: add", kText), HasSubstr("no match"));
  EXPECT_THAT(filecheck("// CHECK-NEXT: conv2d", kText), HasSubstr("no match before it"));
}

TEST(Filecheck, same_means_the_rest_of_the_line) {
  EXPECT_THAT(filecheck("// CHECK: conv2d\n// CHECK-SAME: %w", kText), IsEmpty());
  EXPECT_THAT(filecheck("// CHECK: conv2d\n// CHECK-SAME: %a =", kText), HasSubstr("no match"));
  EXPECT_THAT(filecheck("// CHECK: conv2d\n// CHECK-SAME: silu", kText), HasSubstr("no match"));
}

TEST(Filecheck, not_looks_between_its_neighbours_only) {
  EXPECT_THAT(filecheck("// CHECK: silu\n// CHECK-NOT: conv2d\n// CHECK: add", kText), IsEmpty());
  EXPECT_THAT(filecheck("// CHECK: graph\n// CHECK-NOT: conv2d\n// CHECK: add", kText), HasSubstr("must not match"));
  EXPECT_THAT(filecheck("// CHECK: add\n// CHECK-NOT: silu %x", kText), HasSubstr("must not match"));
  EXPECT_THAT(filecheck("// CHECK-NOT: matmul", kText), IsEmpty());
}

TEST(Filecheck, dag_takes_any_order_without_overlap) {
  EXPECT_THAT(filecheck("// CHECK-DAG: add\n// CHECK-DAG: conv2d\n// CHECK: graph @two", kText), IsEmpty());
  EXPECT_THAT(filecheck("// CHECK-DAG: add\n// CHECK-DAG: add", kText), HasSubstr("no match"));
  // The position moves behind the last of the group.
  EXPECT_THAT(filecheck("// CHECK-DAG: add\n// CHECK-DAG: conv2d\n// CHECK: %b = silu %a", kText), HasSubstr("no match"));
}

TEST(Filecheck, label_keeps_blocks_apart) {
  EXPECT_THAT(filecheck("// CHECK-LABEL: @one\n// CHECK: silu %a\n// CHECK-LABEL: @two\n// CHECK: silu %x", kText), IsEmpty());
  EXPECT_THAT(filecheck("// CHECK-LABEL: @one\n// CHECK: silu %x\n// CHECK-LABEL: @two", kText), HasSubstr("no match"));
  EXPECT_THAT(filecheck("// CHECK-LABEL: @one\n// CHECK-NOT: silu %x\n// CHECK-LABEL: @two", kText), IsEmpty());
}

TEST(Filecheck, captures_bind_later_uses) {
  EXPECT_THAT(filecheck("// CHECK: [[Y:%\\w+]] = silu\n// CHECK: add [[Y]], %a", kText), IsEmpty());
  EXPECT_THAT(filecheck("// CHECK: [[Y:%\\w+]] = conv2d\n// CHECK: add [[Y]]", kText), HasSubstr("no match"));
  EXPECT_THAT(filecheck("// CHECK: add [[Y]]", kText), HasSubstr("before it is captured"));
}

TEST(Filecheck, a_capture_can_be_used_on_its_own_line) {
  EXPECT_THAT(filecheck("// CHECK: [[Y:%(x|y)]], [[Y]]", "add %x, %y\nadd %y, %y"), IsEmpty());
  EXPECT_THAT(filecheck("// CHECK: [[Y:%(x|y)]], [[Y]]", "add %x, %y\nadd %y, %x"), HasSubstr("no match"));
}

TEST(Filecheck, literal_text_is_no_regex) {
  EXPECT_THAT(filecheck("// CHECK: f32[2]", "f32[2]"), IsEmpty());
  EXPECT_THAT(filecheck("// CHECK: f32[2]", "f322"), HasSubstr("no match"));
  EXPECT_THAT(filecheck("// CHECK: f{{[0-9]+}}[2]", "f16[2]"), IsEmpty());
}

TEST(Filecheck, mistakes_in_the_checks_are_failures) {
  EXPECT_THAT(filecheck("nothing here", kText), HasSubstr("no directive"));
  EXPECT_THAT(filecheck("// CHECK-NXET: conv2d", kText), HasSubstr("unknown directive CHECK-NXET"));
  EXPECT_THAT(filecheck("// CHECK:", kText), HasSubstr("empty"));
  EXPECT_THAT(filecheck("// CHECK: {{(}}", kText), HasSubstr("not a regular expression"));
  EXPECT_THAT(filecheck("// CHECK: {{a", kText), HasSubstr("not closed"));
}

constexpr std::string_view kGraph = "graph @g(%x: f32[2]) -> f32[2] {\n  %y = neg %x : f32[2]\n  return %y\n}\n";

std::string text_test(const std::string& before, const std::string& after = "", const std::string& passes = "none") {
  return run_text_test("// RUN: espalier opt --passes=" + passes + "\n" + before + std::string(kGraph) + after);
}

TEST(TextTest, passes_and_fails_by_its_checks) {
  EXPECT_THAT(text_test("// CHECK: neg %x\n"), IsEmpty());
  EXPECT_THAT(text_test("// CHECK: abs %x\n"), HasSubstr("line 2: no match"));
}

TEST(TextTest, a_section_that_checks_nothing_fails) {
  EXPECT_THAT(text_test(""), HasSubstr("line 2: the section checks nothing"));
  EXPECT_THAT(text_test("// CHECK: neg\n", "// -----\n" + std::string(kGraph)), HasSubstr("checks nothing"));
}

TEST(TextTest, expected_graphs_are_compared_by_structure) {
  const std::string renamed = "graph @h(%x: f32[2]) -> f32[2] {\n  %other = neg %x : f32[2]\n  return %other\n}\n";
  const std::string another = "graph @g(%x: f32[2]) -> f32[2] {\n  %y = abs %x : f32[2]\n  return %y\n}\n";
  EXPECT_THAT(text_test("", "// EXPECTED\n" + renamed), IsEmpty());
  EXPECT_THAT(text_test("", "// EXPECTED\n" + another), HasSubstr("another op"));
  EXPECT_THAT(text_test("", "// EXPECTED\n" + renamed + another), HasSubstr("1 graphs, 2 are expected"));
}

TEST(TextTest, errors_must_be_expected_and_expected_errors_must_occur) {
  const auto test = [](const std::string& line) {
    return run_text_test("// RUN: espalier opt --passes=none\ngraph @g(%x: f32[2]) -> f32[2] {\n" + line + "\n  return %x\n}\n");
  };
  EXPECT_THAT(test("  %y = ned %x : f32[2]  // ERROR: unknown op 'ned'"), IsEmpty());
  EXPECT_THAT(test("// ERROR@+1: ^8: unknown op 'ned'\n  %y = ned %x : f32[2]"), IsEmpty());
  EXPECT_THAT(test("  %y = ned %x : f32[2]  // ERROR: unknown value"), HasSubstr("no error there matches"));
  EXPECT_THAT(test("  %y = ned %x : f32[2]  // ERROR: unknown value"), HasSubstr("unexpected error"));
  EXPECT_THAT(test("  %y = ned %x : f32[2]"), HasSubstr("unexpected error"));
  EXPECT_THAT(test("  %y = neg %x : f32[2]  // ERROR: unknown op"), HasSubstr("an error is expected, none occurs"));
  // The right text on the wrong line.
  EXPECT_THAT(test("// ERROR: unknown op\n  %y = ned %x : f32[2]"), HasSubstr("no error there matches"));
}

TEST(TextTest, the_first_line_is_a_command_that_exists) {
  EXPECT_THAT(run_text_test("// CHECK: neg\n" + std::string(kGraph)), HasSubstr("expected '// RUN: espalier opt"));
  EXPECT_THAT(text_test("// CHECK: neg\n", "", "cze"), HasSubstr("unknown pass 'cze'; did you mean 'cse'"));
  EXPECT_THAT(run_text_test("// RUN: espalier opt --pases=cse\n"), HasSubstr("unknown option --pases=cse"));
}

}  // namespace
}  // namespace espalier::testing
