#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/io/json_reader.h"

namespace espalier::io {
namespace {

using namespace std::string_literals;

std::string error_of(std::string_view text, const JsonLimits& limits = {}) {
  try {
    parse_json(text, "f", limits);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

std::string repeat(std::string_view part, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += part;
  return text;
}

TEST(Json, accepts_what_the_grammar_allows) {
  const std::vector<std::string> accepted = {"null",
                                             "true",
                                             "false",
                                             "0",
                                             "-0",
                                             "1",
                                             "-1",
                                             "123456789",
                                             "9223372036854775807",
                                             "-9223372036854775808",
                                             "1.5",
                                             "-0.0",
                                             "1e5",
                                             "1E5",
                                             "1e+5",
                                             "1e-5",
                                             "1.25e2",
                                             "0e0",
                                             "0.1",
                                             "12345678901234567890",
                                             R"("")",
                                             R"("a")",
                                             R"("\"\\\/\b\f\n\r\t")",
                                             R"("\u0041")",
                                             R"("\u00e9")",
                                             R"("\uD834\uDD1E")",
                                             R"("\u0000")",
                                             "\"\x7f\"",
                                             "\"\xC3\xA9\"",
                                             "\"\xE2\x82\xAC\"",
                                             "\"\xF0\x9F\x98\x80\"",
                                             "\"\xED\x9F\xBF\"",
                                             "\"\xEE\x80\x80\"",
                                             "\"\xF4\x8F\xBF\xBF\"",
                                             "[]",
                                             "[ ]",
                                             "[1]",
                                             "[1,2]",
                                             "[[]]",
                                             "[[],[{}]]",
                                             "{}",
                                             "{ }",
                                             R"({"a":1})",
                                             R"({"a":1,"b":2})",
                                             R"({"":0})",
                                             R"({"a":{"a":{"a":[]}}})",
                                             " \t\r\n1 \t\r\n",
                                             "[1 , 2 ]",
                                             R"({ "a" : 1 , "b" : 2 })",
                                             R"(["\uDBFF\uDFFF"])",
                                             R"("http:\/\/x")",
                                             repeat("[", 64) + repeat("]", 64),
                                             "[true,false,null]",
                                             "[-0.0e-10]"};
  for (const std::string& text : accepted) EXPECT_EQ(error_of(text), "") << text;
}

TEST(Json, rejects_everything_else_at_its_place) {
  const std::vector<std::pair<std::string, std::string>> rejected = {
      {"", "1:1: expected a value, found the end"},
      {" ", "1:2: expected a value, found the end"},
      {"\xEF\xBB\xBF{}", "1:1: begins with a byte-order mark; save it as UTF-8 without one"},
      {"tru", "1:1: expected a value, found 't'"},
      {"True", "1:1: expected a value, found 'T'"},
      {"nul", "1:1: expected a value, found 'n'"},
      {"NaN", "1:1: expected a value, found 'N'"},
      {"Infinity", "1:1: expected a value, found 'I'"},
      {"-Infinity", "1:2: expected a digit, found 'I'"},
      {"truefalse", "1:5: expected nothing after the value, found 'f'"},
      {"1 2", "1:3: expected nothing after the value, found '2'"},
      {"{}{}", "1:3: expected nothing after the value, found '{'"},
      {"{}\0"s, "1:3: expected nothing after the value, found '\\x00'"},
      {"01", "1:1: a number begins with 0"},
      {"-01", "1:1: a number begins with 0"},
      {"+1", "1:1: expected a value, found '+'"},
      {"-", "1:2: expected a digit, found the end"},
      {"--1", "1:2: expected a digit, found '-'"},
      {".5", "1:1: expected a value, found '.'"},
      {"1.", "1:3: expected a digit, found the end"},
      {"1.e5", "1:3: expected a digit, found 'e'"},
      {"1e", "1:3: expected a digit, found the end"},
      {"1e+", "1:4: expected a digit, found the end"},
      {"0x10", "1:2: expected nothing after the value, found 'x'"},
      {"1_000", "1:2: expected nothing after the value, found '_'"},
      {"1e999", "1:1: the number 1e999 is outside the range of a double"},
      {"[1e-999]", "1:2: the number 1e-999 is outside the range of a double"},
      {"'a'", "1:1: expected a value, found '''"},
      {"\"a", "1:1: a string has no end"},
      {"\"a\nb\"", "1:3: a string holds the control character '\\x0A'; write it as an escape"},
      {"\"\0\""s, "1:2: a string holds the control character '\\x00'; write it as an escape"},
      {R"("\x41")", "1:2: unknown escape \\x"},
      {R"("\)", "1:2: unknown escape \\"},
      {R"("\u12")", "1:6: expected four hex digits after \\u, found '\"'"},
      {R"("\u00G0")", "1:6: expected four hex digits after \\u, found 'G'"},
      {R"("\uD800")", "1:2: a lone surrogate in an escape"},
      {R"("\uDC00")", "1:2: a lone surrogate in an escape"},
      {R"("\uD800A")", "1:2: a lone surrogate in an escape"},
      {R"("\uD800\u0041")", "1:2: a lone surrogate in an escape"},
      {R"("\uD800\n")", "1:2: a lone surrogate in an escape"},
      {"\"\x80\"", "1:2: a string is not UTF-8 at byte '\\x80'"},
      {"\"\xC0\xAF\"", "1:2: a string is not UTF-8 at byte '\\xC0'"},
      {"\"\xC3\"", "1:2: a string is not UTF-8 at byte '\\xC3'"},
      {"\"\xE0\x80\x80\"", "1:2: a string is not UTF-8 at byte '\\xE0'"},
      {"\"\xED\xA0\x80\"", "1:2: a string is not UTF-8 at byte '\\xED'"},
      {"\"\xF0\x80\x80\x80\"", "1:2: a string is not UTF-8 at byte '\\xF0'"},
      {"\"\xF4\x90\x80\x80\"", "1:2: a string is not UTF-8 at byte '\\xF4'"},
      {"\"\xF5\x80\x80\x80\"", "1:2: a string is not UTF-8 at byte '\\xF5'"},
      {"\"\xFF\"", "1:2: a string is not UTF-8 at byte '\\xFF'"},
      {"\xC3\xA9", "1:1: expected a value, found '\\xC3'"},
      {"[", "1:2: expected a value, found the end"},
      {"[1", "1:3: expected ',' or ']', found the end"},
      {"[1,", "1:4: expected a value, found the end"},
      {"[1,]", "1:4: expected a value, found ']'"},
      {"[,1]", "1:2: expected a value, found ','"},
      {"[1 2]", "1:4: expected ',' or ']', found '2'"},
      {"[1,,2]", "1:4: expected a value, found ','"},
      {"[1}", "1:3: expected ',' or ']', found '}'"},
      {"]", "1:1: expected a value, found ']'"},
      {"{", "1:2: expected a key in quotes, found the end"},
      {"{a:1}", "1:2: expected a key in quotes, found 'a'"},
      {"{1:1}", "1:2: expected a key in quotes, found '1'"},
      {R"({"a")", "1:5: expected ':' after a key, found the end"},
      {R"({"a" 1})", "1:6: expected ':' after a key, found '1'"},
      {R"({"a":})", "1:6: expected a value, found '}'"},
      {R"({"a":1)", "1:7: expected ',' or '}', found the end"},
      {R"({"a":1,})", "1:8: expected a key in quotes, found '}'"},
      {R"({"a":1]})", "1:7: expected ',' or '}', found ']'"},
      {R"({,"a":1})", "1:2: expected a key in quotes, found ','"},
      {R"({"a":1 "b":2})", "1:8: expected ',' or '}', found '\"'"},
      {"// c\n1", "1:1: expected a value, found '/'"},
      {"1 // c", "1:3: expected nothing after the value, found '/'"},
      {"[1, /* c */ 2]", "1:5: expected a value, found '/'"},
      {"{\n  \"a\": 1,\n  \"a\": 2\n}", "3:3: duplicate key 'a'"},
      {R"({"a":1,"\u0061":2})", "1:8: duplicate key 'a'"},
      {R"({"o":{"k":0,"k":1}})", "1:13: duplicate key 'k'"},
      {repeat("[", 65) + repeat("]", 65), "1:65: nested deeper than 64 levels"},
      {repeat("[", 100'000), "1:65: nested deeper than 64 levels"},
      {repeat("{\"a\":", 100'000), "1:321: nested deeper than 64 levels"},
      {"[\n1,\r\n\t2\x0B]", "3:3: expected ',' or ']', found '\\x0B'"},
  };
  for (const auto& [text, message] : rejected) EXPECT_EQ(error_of(text), "f:" + message) << text.substr(0, 80);
}

TEST(Json, keeps_order_kind_value_and_place) {
  const JsonValue root = parse_json("{\n  \"z\": [1, 2.5, \"t\\u00e9\"],\n  \"a\": {\"b\": null, \"c\": true}\n}", "config.json");
  ASSERT_TRUE(root.is_object());
  ASSERT_EQ(root.members().size(), 2U);
  EXPECT_EQ(root.members()[0].first, "z");
  const JsonValue& list = root.members()[0].second;
  EXPECT_EQ(list.elements()[0].as_int(), 1);
  EXPECT_EQ(list.elements()[1].kind(), JsonValue::Kind::kDouble);
  EXPECT_EQ(list.elements()[1].as_double(), 2.5);
  EXPECT_EQ(list.elements()[2].as_string(), "t\xC3\xA9");
  EXPECT_EQ(list.place("config.json"), "config.json:2:8");
  EXPECT_EQ(list.elements()[2].place("config.json"), "config.json:2:17");
  EXPECT_EQ(list.elements()[2].offset(), 18U);
  const JsonValue* inner = root.find("a");
  ASSERT_NE(inner, nullptr);
  EXPECT_TRUE(inner->find("b")->is_null());
  EXPECT_TRUE(inner->find("c")->as_bool());
  EXPECT_EQ(inner->find("d"), nullptr);
  EXPECT_EQ(list.find("d"), nullptr);
  EXPECT_EQ(inner->kind_name(), "an object");
}

TEST(Json, integers_beyond_64_bits_become_doubles) {
  EXPECT_EQ(parse_json("9223372036854775807", "f").as_int(), INT64_MAX);
  EXPECT_FALSE(parse_json("9223372036854775808", "f").is_int());
  EXPECT_EQ(parse_json("9223372036854775808", "f").as_double(), 9223372036854775808.0);
  EXPECT_FALSE(parse_json("1.0", "f").is_int());
}

TEST(Json, limits_hold_before_memory_is_spent) {
  EXPECT_EQ(error_of(std::string(17 << 20, ' ')), "f: has 17.00 MiB, the limit for such a file is 16.00 MiB");
  std::string many = "[0";
  for (int i = 0; i < 60'000; ++i) many += ",0";
  EXPECT_EQ(error_of(many + "]"), "f:1:100000: more than 50,000 values");
  EXPECT_EQ(error_of(std::string(1'000'000, '1')),
            "f:1:1: the number 111111111111111111111111… is outside the range of a double");
}

TEST(Json, a_pull_reader_skips_whole_values) {
  JsonReader reader(R"({"skip":{"deep":[1,{"x":[]}]},"next":"v\n"})");
  using Event = JsonReader::Event;
  EXPECT_EQ(reader.next(), Event::kBeginObject);
  EXPECT_EQ(reader.next(), Event::kKey);
  EXPECT_EQ(reader.next(), Event::kBeginObject);
  reader.skip();
  EXPECT_EQ(reader.next(), Event::kKey);
  EXPECT_EQ(reader.text(), "next");
  EXPECT_EQ(reader.next(), Event::kString);
  EXPECT_EQ(reader.text(), "v\n");
  reader.skip();
  EXPECT_EQ(reader.next(), Event::kEndObject);
  EXPECT_EQ(reader.next(), Event::kEnd);
}

}  // namespace
}  // namespace espalier::io
