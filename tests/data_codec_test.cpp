#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/data/codec.h"
#include "tests/support/tiny_cache.h"

namespace espalier::data {
namespace {

using ::espalier::testing::user_error;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

exec::FloatTensor random_picture(const Shape& shape) {
  exec::FloatTensor picture{shape, {}};
  for (int64_t i = 0; i < shape.elements(); ++i)
    picture.values.push_back(static_cast<float>(2 * rng::uniform(3, 0, static_cast<uint64_t>(i)) - 1));
  return picture;
}

double squares(const exec::FloatTensor& tensor) {
  double sum = 0;
  for (const float value : tensor.values) sum += double{value} * double{value};
  return sum;
}

TEST(Codec, decode_undoes_encode_to_rounding) {
  for (const std::string& name : codec_names()) {
    const auto codec = make_codec(name);
    const exec::FloatTensor picture = random_picture({3, 6, 4, 3});
    const exec::FloatTensor latents = codec->encode(picture);
    EXPECT_EQ(latents.shape, (Shape{3, 6 / codec->factor(), 4 / codec->factor(), codec->channels()})) << name;
    const exec::FloatTensor back = codec->decode(latents);
    ASSERT_EQ(back.shape, picture.shape) << name;
    for (size_t i = 0; i < picture.values.size(); ++i) ASSERT_NEAR(back.values[i], picture.values[i], 3e-7) << name << " " << i;
  }
}

TEST(Codec, haar_keeps_the_sum_of_squares) {
  const exec::FloatTensor picture = random_picture({2, 8, 8, 3});
  EXPECT_NEAR(squares(make_codec("haar")->encode(picture)), squares(picture), 1e-4);
}

TEST(Codec, haar_bands_are_average_horizontal_vertical_diagonal_of_each_colour) {
  // One block of 2x2 pixels, each as R,G,B; green is flat, blue varies along the diagonal only.
  const exec::FloatTensor picture{{1, 2, 2, 3}, {1, 3, 1, 2, 3, -1, 3, 3, -1, 8, 3, 1}};
  EXPECT_THAT(make_codec("haar")->encode(picture).values, ElementsAre(7, 6, 0, -3, 0, 0, -4, 0, 0, 2, 0, 2));
}

TEST(Codec, refuses_other_channels_and_odd_sizes) {
  EXPECT_THAT(user_error([] { make_codec("haar")->encode(random_picture({1, 3, 4, 3})); }), HasSubstr("even height and width"));
  EXPECT_THAT(user_error([] { make_codec("haar")->decode(random_picture({1, 2, 2, 3})); }), HasSubstr("[N,H,W,12]"));
  EXPECT_THAT(user_error([] { make_codec("identity")->encode(random_picture({1, 2, 2, 4})); }), HasSubstr("[N,H,W,3]"));
}

TEST(Codec, unknown_name_suggests_the_nearest) {
  EXPECT_THAT(user_error([] { make_codec("harr"); }), HasSubstr("did you mean 'haar'?"));
}

}  // namespace
}  // namespace espalier::data
