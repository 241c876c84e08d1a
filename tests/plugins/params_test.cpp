// Parameters: declared once, checked all at once, with the place of every fault.

#include "plugins/params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "plugins/host.h"

namespace espalier::plugins {
namespace {

using ::testing::ElementsAre;

const std::vector<ParamSpec>& specs() {
  static const std::vector<ParamSpec> all{
      {.kind = ESP_PARAM_BOOL, .name = "verbose", .doc = "talk"},
      {.kind = ESP_PARAM_INT, .name = "keep", .doc = "blocks kept", .required = true, .min_int = 0, .max_int = 10},
      {.kind = ESP_PARAM_FLOAT, .name = "power", .doc = "exponent", .default_float = 3, .min_float = 0.5, .max_float = 8},
      {.kind = ESP_PARAM_STRING, .name = "like", .doc = "another pruner"},
      {.kind = ESP_PARAM_CHOICE,
       .name = "origin",
       .doc = "where from",
       .default_string = "first-k",
       .choices = {"first-k", "evenly-spaced"}},
      {.kind = ESP_PARAM_GLOBS, .name = "remove", .doc = "globs", .default_string = "mid_block*"}};
  return all;
}

struct Outcome {
  ParamValues values;
  std::vector<std::string> errors;
};

Outcome resolve(const std::string& toml, std::vector<std::string> sets = {}) {
  ErrorList errors;
  const toml::table table = io::parse_toml(toml, "r.toml");
  ParamInput input{.table = toml.empty() ? nullptr : &table, .file = "r.toml", .host_keys = {"use"}, .sets = std::move(sets)};
  ParamValues values = resolve_params(specs(), input, "zoo.pruner", errors);
  return {std::move(values), errors.messages()};
}

TEST(Params, fills_defaults_and_says_what_was_given) {
  const Outcome got = resolve("use = 'x'\nkeep = 4");
  ASSERT_TRUE(got.errors.empty()) << got.errors[0];
  const auto values = got.values.values();
  ASSERT_EQ(values.size(), 6u);
  EXPECT_EQ(values[0].int_value, 0);
  EXPECT_EQ(values[1].int_value, 4);
  EXPECT_TRUE(values[1].is_set);
  EXPECT_FALSE(values[2].is_set);
  EXPECT_EQ(values[2].float_value, 3);
  EXPECT_EQ(view(values[3].string_value), "");
  EXPECT_EQ(view(values[4].string_value), "first-k");
  ASSERT_EQ(values[5].string_count, 1u);
  EXPECT_EQ(view(values[5].strings[0]), "mid_block*");
}

TEST(Params, both_carriers_give_the_same_values) {
  const Outcome file =
      resolve("verbose = true\nkeep = 7\npower = 2\nlike = 'a=b'\norigin = 'evenly-spaced'\nremove = ['x*', 'y']");
  const Outcome sets =
      resolve("", {"verbose=true", "keep=7", "power=2", "like=a=b", "origin=evenly-spaced", "remove=['x*', 'y']"});
  const Outcome each =
      resolve("", {"verbose=true", "keep=7", "power=2.0", "like=a=b", "origin=evenly-spaced", "remove=x*", "remove=y"});
  for (const Outcome* got : {&file, &sets, &each}) {
    ASSERT_TRUE(got->errors.empty()) << got->errors[0];
    const auto values = got->values.values();
    EXPECT_EQ(values[0].int_value, 1);
    EXPECT_EQ(values[1].int_value, 7);
    EXPECT_EQ(values[2].float_value, 2);
    EXPECT_EQ(view(values[3].string_value), "a=b");
    EXPECT_EQ(view(values[4].string_value), "evenly-spaced");
    ASSERT_EQ(values[5].string_count, 2u);
    EXPECT_EQ(view(values[5].strings[0]), "x*");
    EXPECT_EQ(view(values[5].strings[1]), "y");
  }
}

TEST(Params, the_command_line_wins_over_the_file) {
  const Outcome got = resolve("keep = 4\nremove = ['x']", {"keep=5", "remove=y"});
  ASSERT_TRUE(got.errors.empty()) << got.errors[0];
  EXPECT_EQ(got.values.values()[1].int_value, 5);
  ASSERT_EQ(got.values.values()[5].string_count, 1u);
  EXPECT_EQ(view(got.values.values()[5].strings[0]), "y");
}

TEST(Params, values_stay_where_they_are_when_moved) {
  Outcome got = resolve("", {"keep=1", "like=short", "remove=a", "remove=b"});
  const ParamValues moved = std::move(got.values);
  EXPECT_EQ(view(moved.values()[3].string_value), "short");
  EXPECT_EQ(view(moved.values()[5].strings[1]), "b");
}

TEST(Params, reports_every_fault_of_a_file_with_line_and_column) {
  const Outcome got = resolve("keep = 11\npower = 'much'\n  origin = 'first'\nremove = 'x'\nkep = 3\nverbose = 1\nlike = 2");
  EXPECT_THAT(got.errors,
              ::testing::UnorderedElementsAre(
                  "r.toml:1:8: 'keep' wants integer (0 to 10), got 11", "r.toml:2:9: 'power' wants number (0.5 to 8), got 'much'",
                  "r.toml:3:12: 'origin' wants choice (first-k | evenly-spaced), got 'first'; did you mean 'first-k'?",
                  "r.toml:4:10: 'remove' wants list of globs, got 'x'",
                  "r.toml:5:7: zoo.pruner has no parameter 'kep'; did you mean 'keep'?",
                  "r.toml:6:11: 'verbose' wants true or false, got 1", "r.toml:7:8: 'like' wants text, got 2"));
}

TEST(Params, reports_every_fault_of_the_command_line_with_its_text) {
  const Outcome got = resolve("", {"verbose=yes", "power=nan", "power=1", "zzz=1", "=3", "keep", "origin=last", "remove=[1]"});
  EXPECT_THAT(got.errors,
              ::testing::UnorderedElementsAre(
                  "--set verbose=yes: 'verbose' wants true or false, got 'yes'", "--set power=1: 'power' is given twice",
                  "--set power=nan: 'power' wants number (0.5 to 8), got 'nan'",
                  "--set zzz=1: zoo.pruner has no parameter 'zzz'; it has verbose, keep, power, like, origin, remove",
                  "--set =3: want key=value", "--set keep: want key=value",
                  "--set: parameter 'keep' of zoo.pruner is required (blocks kept)",
                  "--set origin=last: 'origin' wants choice (first-k | evenly-spaced), got 'last'",
                  "--set remove=[1]: 'remove' wants list of globs, got '[1]'"));
}

TEST(Params, a_text_that_smuggles_a_second_value_is_refused) {
  const Outcome got = resolve("", {"keep=3\nverbose = true"});
  EXPECT_THAT(got.errors,
              ElementsAre("--set keep=3\\x0Averbose = true: 'keep' wants integer (0 to 10), got '3\\x0Averbose = true'"));
}

esp_str text(const char* t) { return to_esp(std::string_view(t)); }

TEST(ParamSpecs, every_fault_of_a_declaration_is_named) {
  const esp_str choices[] = {text("a"), text("b")};
  std::vector<esp_param_spec> raw(9);
  for (auto& spec : raw) {
    spec = {};
    spec.struct_size = sizeof(esp_param_spec);
    spec.kind = ESP_PARAM_INT;
    spec.name = text("p");
    spec.doc = text("doc");
  }
  raw[0].name = text("Bad Name");
  raw[1].name = text("use");
  raw[2].name = text("range"), raw[2].min_int = 3, raw[2].max_int = 2;
  raw[3].name = text("range");
  raw[4].name = text("kind"), raw[4].kind = 99;
  raw[5].name = text("pick"), raw[5].kind = ESP_PARAM_CHOICE, raw[5].choices = choices, raw[5].choice_count = 2,
  raw[5].default_string = text("c");
  raw[6].name = text("none"), raw[6].kind = ESP_PARAM_CHOICE;
  raw[7].name = text("quiet"), raw[7].doc = {};
  raw[8].name = text("nan"), raw[8].kind = ESP_PARAM_FLOAT, raw[8].default_float = std::numeric_limits<double>::quiet_NaN();
  ErrorList errors;
  read_specs(raw, errors);
  EXPECT_THAT(
      errors.messages(),
      ElementsAre("parameter 0: 'Bad Name' is not a name (a-z, 0-9, '_', '-', a letter first)",
                  "parameter 'use': this name belongs to the host", "parameter 'range' minimum 3 is over maximum 2",
                  "parameter 'range' is declared twice", "parameter 'kind' has unknown kind 99",
                  "parameter 'pick' default 'c' is not one of its choices", "parameter 'none' is a choice without choices",
                  "parameter 'quiet' has no doc", "parameter 'nan' default nan is outside 0…0"));
}

}  // namespace
}  // namespace espalier::plugins
