#include "core/io/toml.h"

#include <gtest/gtest.h>

namespace espalier::io {
namespace {

std::string error_of(std::string_view text) {
  try {
    parse_toml(text, "plan.toml");
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Toml, syntax_errors_have_file_line_and_column) {
  EXPECT_EQ(error_of("a = 1\nb = \n").substr(0, 14), "plan.toml:2:5:");
  EXPECT_EQ(error_of("a = 1\na = 2\n").substr(0, 12), "plan.toml:2:");
  EXPECT_EQ(error_of("[t]\n[t]\n").substr(0, 12), "plan.toml:2:");
  EXPECT_EQ(error_of("a = 99999999999999999999\n").substr(0, 12), "plan.toml:1:");
  EXPECT_EQ(error_of("a = 1\n"), "no error");
}

TEST(Toml, deep_nesting_is_refused) {
  EXPECT_EQ(error_of("a = " + std::string(50, '[') + std::string(50, ']')), "no error");
  EXPECT_EQ(error_of("a = " + std::string(10'000, '[')).substr(0, 12), "plan.toml:1:");
}

TEST(Toml, a_reader_gives_values_of_the_right_kind) {
  const toml::table table =
      parse_toml("s = 'x'\ni = 3\nn = 1.5\nb = true\nl = ['p', 'q']\n[t]\nk = 1\n[[r]]\nk = 2\n[[r]]\nk = 3\n", "f");
  ErrorList errors;
  TomlReader reader(table, "f", "the recipe", errors);
  EXPECT_EQ(reader.string("s"), "x");
  EXPECT_EQ(reader.integer("i"), 3);
  EXPECT_EQ(reader.number("i"), 3.0);
  EXPECT_EQ(reader.number("n"), 1.5);
  EXPECT_EQ(reader.boolean("b"), true);
  EXPECT_EQ(reader.strings("l"), (std::vector<std::string>{"p", "q"}));
  EXPECT_NE(reader.table("t"), nullptr);
  EXPECT_EQ(reader.tables("r").size(), 2U);
  EXPECT_EQ(reader.string("absent"), std::nullopt);
  EXPECT_EQ(reader.line("b"), 4);
  reader.finish();
  EXPECT_TRUE(errors.empty());
}

TEST(Toml, every_fault_is_collected_with_its_place) {
  const toml::table table = parse_toml("formt = 1\nstage = 'x'\nweight = inf\nnames = ['a', 1]\nrows = [1]\n", "f");
  ErrorList errors;
  TomlReader reader(table, "f", "the plan", errors);
  reader.require("format");
  EXPECT_EQ(reader.integer("stage"), std::nullopt);
  EXPECT_EQ(reader.number("weight"), std::nullopt);
  EXPECT_EQ(reader.strings("names"), std::nullopt);
  EXPECT_TRUE(reader.tables("rows").empty());
  EXPECT_EQ(reader.table("stage"), nullptr);
  reader.finish();
  EXPECT_EQ(errors.messages(), (std::vector<std::string>{
                                   "f:1:1: the plan has no 'format'",
                                   "f:2:9: 'stage' must be an integer, not a string",
                                   "f:3:10: 'weight' must be finite",
                                   "f:4:15: an element of 'names' must be a string, not an integer",
                                   "f:5:9: a row of 'rows' must be a table, not an integer",
                                   "f:2:9: 'stage' must be a table, not a string",
                                   "f:1:1: unknown key 'formt' in the plan; did you mean 'format'?",
                               }));
}

}  // namespace
}  // namespace espalier::io
