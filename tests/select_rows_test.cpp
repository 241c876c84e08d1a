// What --rows takes.

#include "core/sample/select_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"

namespace espalier::sample {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<data::CacheRow> rows() {
  std::vector<data::CacheRow> all;
  for (const auto& [id, caption] : {std::pair{"1F600", "grinning face"},
                                    {"1F408", "cat"},
                                    {"2", "number two"},
                                    {"1F638", "grinning cat"},
                                    {"1F1E6", "flag: Norway, Svalbard"},
                                    {"31-20E3", "keycap: 1"},
                                    {"a", "same"},
                                    {"b", "same"}})
    all.push_back({.id = id, .caption = caption});
  return all;
}

std::vector<size_t> chosen(const std::vector<std::string>& selectors) { return select_rows(rows(), selectors); }

std::string fault_of(const std::vector<std::string>& selectors) {
  try {
    chosen(selectors);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

TEST(SelectRows, takes_ids_captions_indices_ranges_globs_and_lists_in_the_order_given) {
  EXPECT_THAT(chosen({"1F408"}), ElementsAre(1));
  EXPECT_THAT(chosen({"grinning cat", "0"}), ElementsAre(3, 0));
  EXPECT_THAT(chosen({"1-3"}), ElementsAre(1, 2, 3));
  EXPECT_THAT(chosen({"4-4"}), ElementsAre(4));
  EXPECT_THAT(chosen({"*cat"}), ElementsAre(1, 3));
  EXPECT_THAT(chosen({"1F6*"}), ElementsAre(0, 3));
  EXPECT_THAT(chosen({"0-1,cat, 1F638"}), ElementsAre(0, 1, 1, 3));
}

TEST(SelectRows, a_whole_caption_or_id_goes_before_what_its_marks_would_mean) {
  EXPECT_THAT(chosen({"flag: Norway, Svalbard"}), ElementsAre(4));
  EXPECT_THAT(chosen({"31-20E3"}), ElementsAre(5));
  EXPECT_THAT(chosen({"2"}), ElementsAre(2));  // id and index of the same row
}

TEST(SelectRows, says_what_it_does_not_find_and_what_is_near) {
  EXPECT_THAT(fault_of({"grining face"}),
              HasSubstr("[--rows] no row's caption or id is 'grining face'; did you mean 'grinning face'"));
  EXPECT_THAT(fault_of({"*dog*"}), HasSubstr("matches '*dog*'"));
  EXPECT_THAT(fault_of({"8"}), HasSubstr("there is no row '8': the cache's rows are 0 to 7"));
  EXPECT_THAT(fault_of({"5-8"}), HasSubstr("'5-8' is no range"));
  EXPECT_THAT(fault_of({"3-1"}), HasSubstr("'3-1' is no range"));
  EXPECT_THAT(fault_of({""}), HasSubstr("is ''"));
  EXPECT_THAT(fault_of({"99999999999999999999"}), HasSubstr("is '99999999999999999999'"));
  const std::string both = fault_of({"x", "0,y"});
  EXPECT_EQ(std::count(both.begin(), both.end(), '\n'), 1);
}

TEST(SelectRows, refuses_what_means_two_rows) {
  EXPECT_THAT(fault_of({"same"}), HasSubstr("2 rows have the caption 'same'; name one by its id: a, b"));
  std::vector<data::CacheRow> all = rows();
  all[0].id = "5";
  try {
    select_rows(all, {"5"});
    ADD_FAILURE();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'5' is the id of row 0 and the index of row 5 ('keycap: 1'); say id:5 or index:5"));
  }
  EXPECT_THAT(select_rows(all, {"id:5", "index:5"}), ElementsAre(0, 5));
}

}  // namespace
}  // namespace espalier::sample
