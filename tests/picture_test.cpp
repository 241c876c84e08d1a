// Latents to bytes, grids and PNG files.

#include "core/sample/picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/sample/png.h"
#include "tests/support/read_png.h"

namespace espalier::sample {
namespace {

using ::testing::ElementsAre;

Picture filled(int64_t width, int64_t height, uint8_t value) {
  return {width, height, std::vector<uint8_t>(static_cast<size_t>(width * height * 3), value)};
}

uint8_t red_at(const Picture& picture, int64_t x, int64_t y) {
  return picture.rgb[static_cast<size_t>((y * picture.width + x) * 3)];
}

TEST(Picture, minus_one_is_black_one_is_white_and_the_rest_is_clipped) {
  const std::vector<Picture> pictures = pictures_of({Shape{2, 1, 2, 3}, {-1, 0, 1, -3, 3, 0.5f, 1, 1, 1, -1, -1, -1}});
  ASSERT_EQ(pictures.size(), 2u);
  EXPECT_EQ(pictures[0].width, 2);
  EXPECT_EQ(pictures[0].height, 1);
  EXPECT_THAT(pictures[0].rgb, ElementsAre(0, 128, 255, 0, 255, 191));
  EXPECT_THAT(pictures[1].rgb, ElementsAre(255, 255, 255, 0, 0, 0));
}

TEST(Picture, enlarging_makes_squares_of_pixels) {
  const Picture small{2, 1, {1, 2, 3, 4, 5, 6}};
  EXPECT_THAT(enlarged(small, 2).rgb, ElementsAre(1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6, 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6));
  EXPECT_EQ(enlarged(small, 1).rgb, small.rgb);
}

TEST(Grid, fills_lines_from_the_left_with_gaps_between_and_around) {
  const Picture grid = grid_of({filled(3, 2, 10), filled(3, 2, 20), filled(3, 2, 30)}, {.columns = 2, .gap_px = 1, .grey = 200});
  EXPECT_EQ(grid.width, 1 + 2 * (3 + 1));
  EXPECT_EQ(grid.height, 1 + 2 * (2 + 1));
  EXPECT_EQ(red_at(grid, 1, 1), 10);
  EXPECT_EQ(red_at(grid, 5, 1), 20);
  EXPECT_EQ(red_at(grid, 1, 4), 30);
  EXPECT_EQ(red_at(grid, 5, 4), 200);  // an empty cell
  EXPECT_EQ(red_at(grid, 0, 0), 200);
  EXPECT_EQ(red_at(grid, 4, 1), 200);
}

TEST(Grid, is_as_square_as_it_can_be_and_no_wider_than_its_pictures) {
  EXPECT_EQ(grid_columns(1, {}), 1);
  EXPECT_EQ(grid_columns(4, {}), 2);
  EXPECT_EQ(grid_columns(5, {}), 3);
  EXPECT_EQ(grid_columns(16, {}), 4);
  EXPECT_EQ(grid_columns(3, {.columns = 8}), 3);
}

TEST(Grid, a_smaller_picture_lies_in_the_middle_of_its_cell) {
  const Picture grid = grid_of({filled(4, 4, 10), filled(2, 2, 20)}, {.scale = 2, .gap_px = 1, .grey = 200});
  EXPECT_EQ(grid.width, 1 + 2 * (8 + 1));
  EXPECT_EQ(red_at(grid, 10 + 1, 1 + 1), 200);
  EXPECT_EQ(red_at(grid, 10 + 2, 1 + 2), 20);
  EXPECT_EQ(red_at(grid, 10 + 5, 1 + 5), 20);
  EXPECT_EQ(red_at(grid, 10 + 6, 1 + 6), 200);
}

TEST(Png, gives_back_every_pixel_and_every_text) {
  Picture picture{5, 3, {}};
  for (int i = 0; i < 5 * 3 * 3; ++i) picture.rgb.push_back(static_cast<uint8_t>(i * 5));
  const std::string caption = "katze \xf0\x9f\x90\x88, \xe2\x80\x9c" + std::string(10'000, 'x') + "\xe2\x80\x9d";
  const testing::ReadPng read = testing::read_png(encode_png(picture, {{"Software", "espalier"}, {"espalier.sample", caption}}));
  EXPECT_EQ(read.width, 5);
  EXPECT_EQ(read.height, 3);
  EXPECT_EQ(read.rgb, picture.rgb);
  EXPECT_EQ(read.texts.size(), 2u);
  EXPECT_EQ(read.texts.at("Software"), "espalier");
  EXPECT_EQ(read.texts.at("espalier.sample"), caption);
}

TEST(Png, the_same_picture_gives_the_same_bytes) {
  EXPECT_EQ(encode_png(filled(9, 9, 7), {{"Software", "x"}}), encode_png(filled(9, 9, 7), {{"Software", "x"}}));
}

TEST(Png, a_file_that_cannot_be_written_leaves_nothing_behind) {
  std::string pattern = (std::filesystem::temp_directory_path() / "espalier-png-XXXXXX").string();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const std::filesystem::path root = pattern;
  write_text(root / "file", "not a folder");
  EXPECT_THROW(write_png(root / "file/grid.png", filled(2, 2, 0)), UserError);
  write_png(root / "deep/grid.png", filled(2, 2, 9));
  EXPECT_EQ(testing::read_png(read_text(root / "deep/grid.png")).rgb, filled(2, 2, 9).rgb);
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace espalier::sample
