// The emoji example: from Unicode's list and a font to a cache. Where the font or the list is not installed, what needs it is
// skipped.

#include <gmock/gmock.h>

#include <array>
#include <cmath>
#include <set>

#include "core/base/files.h"
#include "core/data/cache.h"
#include "core/data/codec.h"
#include "core/model/block_tree.h"
#include "core/model/unet_config.h"
#include "core/train/recipe.h"
#include "examples/emoji/caption_encoder.h"
#include "examples/emoji/emoji_font.h"
#include "examples/emoji/emoji_list.h"
#include "examples/emoji/ligatures.h"
#include "examples/emoji/make_cache.h"
#include "examples/emoji/picture.h"
#include "tests/support/tiny_cache.h"

namespace espalier::emoji {
namespace {

namespace fs = std::filesystem;
using ::espalier::testing::user_error;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class EmojiTest : public ::espalier::testing::FolderTest {
 protected:
  fs::path list_of(const std::string& text) const {
    write_text(folder_ / "emoji-test.txt", text);
    return folder_ / "emoji-test.txt";
  }
};

constexpr const char* kList = R"(# Version: 15.0

# group: Smileys & Emotion
# subgroup: face-smiling
1F600                  ; fully-qualified     # 😀 E1.0 grinning face
263A                   ; unqualified         # ☺ E0.6 smiling face
# group: People & Body
# subgroup: hands
1F44B 1F3FB            ; fully-qualified     # 👋🏻 E1.0 waving hand: light skin tone
1F468 200D 1F680       ; fully-qualified     # 👨‍🚀 E4.0 man astronaut
)";

TEST_F(EmojiTest, list_has_the_fully_qualified_without_skin_tones) {
  const std::vector<Emoji> list = read_emoji_list(list_of(kList));
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].caption, "grinning face");
  EXPECT_EQ(list[0].group, "Smileys & Emotion");
  EXPECT_EQ(list[0].subgroup, "face-smiling");
  EXPECT_EQ(list[1].id, "1F468-200D-1F680");
  EXPECT_THAT(list[1].code_points, ElementsAre(0x1F468, 0x200D, 0x1F680));
}

TEST_F(EmojiTest, list_refuses_other_files_with_the_line) {
  EXPECT_THAT(user_error([&] { read_emoji_list(list_of("hello\n")); }), HasSubstr("emoji-test.txt:1: "));
  EXPECT_THAT(user_error([&] { read_emoji_list(list_of("\nXYZ ; fully-qualified # E1.0 a\n")); }),
              AllOf(HasSubstr(":2: "), HasSubstr("'XYZ' is no code point")));
  EXPECT_THAT(user_error([&] { read_emoji_list(list_of("# nothing\n")); }), HasSubstr("no fully-qualified emoji"));
  const std::vector<Emoji> list = read_emoji_list(list_of(kList));
  EXPECT_THAT(user_error([&] { select_groups(list, {"People & Boddy"}); }), HasSubstr("did you mean 'People & Body'?"));
}

// A GSUB table with one lookup: 5 6 7 → 90, 5 6 → 91.
std::vector<std::byte> small_gsub() {
  const std::vector<uint16_t> words{1,  0, 0,  0,  10,  // version, scripts, features, lookups
                                    1,  4,              // lookup list: one
                                    4,  0, 1,  8,       // lookup of ligatures with one subtable
                                    1,  8, 1,  14,      // coverage, one set
                                    1,  1, 5,           // coverage: glyph 5
                                    2,  6, 14,          // set of two, at 6 and 14
                                    90, 3, 6,  7,  91, 2, 6};
  std::vector<std::byte> bytes;
  for (const uint16_t word : words) {
    bytes.push_back(static_cast<std::byte>(word >> 8));
    bytes.push_back(static_cast<std::byte>(word & 255));
  }
  return bytes;
}

TEST(Ligatures, apply_the_first_that_fits_from_left_to_right) {
  const Ligatures ligatures(small_gsub(), "font");
  EXPECT_THAT(ligatures.apply({5, 6, 7}), ElementsAre(90));
  EXPECT_THAT(ligatures.apply({5, 6, 5, 6, 7, 5}), ElementsAre(91, 90, 5));
  EXPECT_THAT(ligatures.apply({6, 5}), ElementsAre(6, 5));
}

TEST(Ligatures, a_damaged_table_is_refused_at_every_length) {
  const std::vector<std::byte> whole = small_gsub();
  for (size_t size = 1; size < whole.size(); ++size)
    EXPECT_THAT(user_error([&] { Ligatures(std::span(whole).first(size), "font"); }), HasSubstr("the font is damaged")) << size;
}

Bitmap one_colour(int width, int height, const std::array<uint8_t, 4>& bgra) {
  Bitmap bitmap{width, height, std::vector<uint8_t>(static_cast<size_t>(width * height) * 4)};
  for (size_t i = 0; i < bitmap.bgra.size(); ++i) bitmap.bgra[i] = bgra[i % 4];
  return bitmap;
}

TEST(Picture, is_the_bitmap_in_the_middle_of_a_white_square) {
  const exec::FloatTensor picture = to_picture(one_colour(8, 4, {0, 0, 255, 255}), 4);  // red, twice as wide as high
  ASSERT_EQ(picture.shape, (Shape{1, 4, 4, 3}));
  for (size_t y = 0; y < 4; ++y) {
    const bool inside = y == 1 || y == 2;
    EXPECT_NEAR(picture.values[y * 12], 1, 1e-6);
    EXPECT_NEAR(picture.values[y * 12 + 1], inside ? -1 : 1, 1e-6) << y;
  }
}

TEST(Picture, transparent_is_white_and_areas_are_averaged_in_linear_light) {
  EXPECT_NEAR(to_picture(one_colour(4, 4, {0, 0, 0, 0}), 2).values[0], 1, 1e-6);
  Bitmap halves = one_colour(2, 2, {0, 0, 0, 255});
  for (const size_t pixel : {1, 3}) halves.bgra[4 * pixel + 3] = 0;  // right half transparent
  // Half the light of white is sRGB 0.7354, not 0.5.
  EXPECT_NEAR(to_picture(halves, 1).values[0], 2 * 0.735357 - 1, 1e-5);
}

TEST(CaptionEncoder, words_are_lower_case_letters_and_digits) {
  EXPECT_THAT(words_of("Face with Open-Mouth: 1st “x”"), ElementsAre("face", "with", "open", "mouth", "1st", "“x”"));
  EXPECT_TRUE(words_of(" - ").empty());
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double dot = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) dot += double{a[i]} * b[i], aa += double{a[i]} * a[i], bb += double{b[i]} * b[i];
  return dot / std::sqrt(aa * bb);
}

TEST(CaptionEncoder, same_text_same_vectors_and_every_part_counts) {
  const data::Conditioning base = encode_caption("g", "s", "red apple");
  EXPECT_EQ(base.encoder_hidden_states.shape, (Shape{kTokens, kEmbedding}));
  EXPECT_EQ(base.text_embeds.shape, (Shape{kPooled}));
  EXPECT_EQ(encode_caption("g", "s", "Red apple!").encoder_hidden_states.values, base.encoder_hidden_states.values);
  for (const data::Conditioning& other :
       {encode_caption("h", "s", "red apple"), encode_caption("g", "t", "red apple"), encode_caption("g", "s", "red"),
        encode_caption("g", "s", "green apple"), encode_nothing()}) {
    EXPECT_NE(other.encoder_hidden_states.values, base.encoder_hidden_states.values);
    EXPECT_NE(other.text_embeds.values, base.text_embeds.values);
  }
  EXPECT_NE(encode_caption("g", "s", "apple red").encoder_hidden_states.values, base.encoder_hidden_states.values)
      << "order counts";
}

TEST(CaptionEncoder, words_that_share_letters_are_nearer_than_others) {
  const std::vector<std::pair<const char*, const char*>> pairs{{"smile", "smiling"}, {"heart", "hearts"}, {"wink", "winking"},
                                                               {"rain", "raining"},  {"snow", "snowman"}, {"cloud", "clouds"}};
  const auto similarity = [&](size_t first, size_t second) {
    const auto vector = [](const char* word) { return encode_caption("g", "s", word).text_embeds.values; };
    return cosine(vector(pairs[first].first), vector(pairs[second].second));
  };
  double near = 0, far = 0;  // means: a single pair has chance similarities of about 1/sqrt(128)
  for (size_t i = 0; i < pairs.size(); ++i) near += similarity(i, i) / 6, far += similarity(i, (i + 1) % pairs.size()) / 6;
  EXPECT_GT(near, far + 0.15);
}

TEST(CaptionEncoder, a_caption_that_does_not_fit_is_refused) {
  EXPECT_THAT(user_error([] { encode_caption("g", "s", "a b c d e f g h i j k l m n o"); }), HasSubstr("at most 14 fit"));
}

TEST(Teacher, has_the_tensors_of_sdxl_by_name_and_the_widths_of_the_cache) {
  const fs::path root = ESPALIER_SOURCE_DIR;
  const model::UNetConfig config = model::read_config(root / "examples/emoji/teacher/config.json");
  const auto names = [](const model::UNetConfig& c) {
    std::set<std::string> found;
    for (const model::TensorSpec& spec : model::tensor_specs(model::build_tree(c))) found.insert(spec.name);
    return found;
  };
  EXPECT_EQ(names(config), names(model::read_config(root / "tests/configs/sdxl-base-unet.json")));
  EXPECT_EQ(config.in_channels, data::make_codec("haar")->channels());
  EXPECT_EQ(config.cross_attention_dim, std::vector<int64_t>(3, kEmbedding));
  EXPECT_EQ(config.projection_class_embeddings_input_dim, kPooled + 6 * config.addition_time_embed_dim);
  EXPECT_EQ(config.sample_size, 16);
}

TEST_F(EmojiTest, recipe_of_the_teacher_is_read_without_fault) {
  ErrorList errors;
  const train::Recipe recipe = train::read_recipe(fs::path(ESPALIER_SOURCE_DIR) / "examples/emoji/teacher.toml",
                                                  {"data.path=" + folder_.string()}, errors);
  EXPECT_THAT(errors.messages(), ::testing::IsEmpty());
  EXPECT_TRUE(recipe.random_student && recipe.predicts_v);
  EXPECT_FALSE(recipe.teacher.has_value());
}

class EmojiFontTest : public EmojiTest {
 protected:
  void SetUp() override {
    EmojiTest::SetUp();
    if (!fs::exists(request_.font)) GTEST_SKIP() << request_.font << " is not installed (fonts-noto-color-emoji)";
    if (!fs::exists(request_.list)) GTEST_SKIP() << request_.list << " is not installed (unicode-data)";
    request_.out = folder_ / "cache";
  }
  CacheRequest request_;
};

TEST_F(EmojiFontTest, draws_every_emoji_of_the_list_sequences_included) {
  const EmojiFont font(request_.font);
  size_t missing = 0;
  const std::vector<Emoji> list = read_emoji_list(request_.list);
  for (const Emoji& emoji : list) {
    const auto glyph = font.glyph_of(emoji.code_points);
    if (!glyph) ++missing;
  }
  EXPECT_GT(list.size(), 1800u);
  EXPECT_EQ(missing, 0u);
  EXPECT_EQ(font.draw(*font.glyph_of(list[0].code_points)).width, 136);
  EXPECT_FALSE(font.glyph_of(std::vector<char32_t>{0x1F600, 0x1F600})) << "two pictures are not one";
}

TEST_F(EmojiFontTest, cache_holds_each_picture_under_its_name) {
  request_.groups = {"Food & Drink"};
  const CacheSummary summary = make_cache(request_);
  const data::Cache cache(request_.out);
  EXPECT_EQ(summary.pictures.size(), cache.rows().size());
  EXPECT_EQ(cache.info().channels, 12);
  EXPECT_THAT(cache.info().source, AllOf(HasSubstr("Noto Color Emoji"), HasSubstr("SIL Open Font License")));
  // A tomato is red in the middle and white in the corner.
  exec::FloatTensor latents = cache.latents(cache.find("tomato"));
  latents.shape = Shape{1, 16, 16, 12};
  const exec::FloatTensor picture = data::make_codec("haar")->decode(latents);
  const float* middle = picture.values.data() + (size_t{20} * 32 + 16) * 3;
  EXPECT_GT(middle[0], 0.5f);
  EXPECT_LT(middle[1], 0.0f);
  EXPECT_NEAR(picture.values[1], 1, 0.01);
}

TEST_F(EmojiFontTest, the_same_cache_twice_is_the_same_bytes) {
  request_.groups = {"Activities"};
  make_cache(request_);
  const fs::path first = request_.out;
  request_.out = folder_ / "again";
  make_cache(request_);
  for (const auto& entry : fs::directory_iterator(first))
    EXPECT_EQ(read_text(entry.path()), read_text(request_.out / entry.path().filename())) << entry.path().filename();
}

TEST_F(EmojiFontTest, what_is_wrong_leaves_no_cache) {
  request_.groups = {"Fod & Drink"};
  EXPECT_THAT(user_error([&] { make_cache(request_); }), HasSubstr("did you mean 'Food & Drink'?"));
  request_.groups = {"Flags"};
  request_.font = request_.list;
  EXPECT_THAT(user_error([&] { make_cache(request_); }), HasSubstr("no font"));
  EXPECT_FALSE(fs::exists(request_.out));
}

}  // namespace
}  // namespace espalier::emoji
