#include "core/data/cache.h"

#include <gmock/gmock.h>

#include <fstream>

#include "core/base/files.h"
#include "core/io/memory_source.h"
#include "core/io/safetensors_writer.h"
#include "tests/support/tiny_cache.h"

namespace espalier::data {
namespace {

namespace fs = std::filesystem;
using ::espalier::testing::counting;
using ::espalier::testing::TinyCache;
using ::espalier::testing::user_error;
using ::espalier::testing::write_tiny_cache;
using ::testing::AllOf;
using ::testing::HasSubstr;

class CacheTest : public ::espalier::testing::FolderTest {
 protected:
  void replace(const char* file, const std::string& from, const std::string& to) const {
    std::string text = read_text(folder_ / "c" / file);
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    write_text(folder_ / "c" / file, text.replace(at, from.size(), to));
  }
  std::string open_error() const {
    return user_error([&] { Cache cache(folder_ / "c"); });
  }
};

TEST_F(CacheTest, reads_back_what_was_written_across_shards_and_buckets) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const fs::path folder = folder_ / std::string(name_of(dtype));
    TinyCache what;
    what.rows = {6, 3};
    what.dtype = dtype;
    // Every value of the test fits bf16's eight bits only if it is small and few: one element per tensor row suffices there.
    if (dtype == DType::kBF16) what.tokens = what.embedding = what.pooled = what.channels = 1;
    if (dtype == DType::kBF16) what.channels = 3;
    write_tiny_cache(folder, what);
    const Cache cache(folder);
    ASSERT_EQ(cache.rows().size(), 9u);
    EXPECT_EQ(cache.info().buckets[0].rows, (std::vector<int64_t>{4, 2}));
    for (size_t i = 0; i < 9; ++i) {
      const int64_t bucket = i < 6 ? 0 : 1;
      const auto first = static_cast<float>(i < 6 ? i : i - 6);
      const exec::FloatTensor latents = cache.latents(i);
      EXPECT_EQ(latents.shape, (Shape{2, 2 + bucket, 3}));
      EXPECT_EQ(latents.values.front(), 1 + first);
      if (dtype != DType::kBF16) {
        EXPECT_EQ(latents.values, counting(latents.shape.elements(), 1 + first));
      }
      const Conditioning conditioning = cache.conditioning(i);
      EXPECT_EQ(conditioning.encoder_hidden_states.values.front(), 100 + first);
      EXPECT_EQ(conditioning.text_embeds.values.front(), 50 + first);
      EXPECT_EQ(conditioning.time_ids.values.front(), 25 + first);
    }
    EXPECT_EQ(cache.unconditional().text_embeds.values.front(), -19);
  }
}

TEST_F(CacheTest, finds_rows_by_id_then_caption_then_index) {
  write_tiny_cache(folder_ / "c", {{4, 3}});
  const Cache cache(folder_ / "c");
  EXPECT_EQ(cache.find("1-02"), 6u);
  EXPECT_EQ(cache.find("picture 2 of 0"), 2u);
  EXPECT_EQ(cache.find("5"), 5u);
  EXPECT_THAT(user_error([&] { cache.find("picture 2 of"); }), AllOf(HasSubstr("did you mean"), HasSubstr("'picture 2 of 0'")));
  EXPECT_THAT(user_error([&] { cache.find("7"); }), HasSubstr("index from 0 to 6"));
}

TEST_F(CacheTest, a_caption_of_several_rows_is_refused_with_their_ids) {
  write_tiny_cache(folder_ / "c");
  replace("rows.jsonl", "picture 3 of 0", "picture 4 of 0");
  const Cache cache(folder_ / "c");
  EXPECT_THAT(user_error([&] { cache.find("picture 4 of 0"); }), AllOf(HasSubstr("'0-03'"), HasSubstr("'0-04'")));
}

TEST_F(CacheTest, index_reports_all_faults_at_once_with_their_places) {
  write_tiny_cache(folder_ / "c");
  replace("index.json", "\"identity\"", "\"identiy\"");
  replace("index.json", "\"tokens\": 2", "\"token\": 2");
  replace("index.json", "\"height\": 2", "\"height\": -2");
  replace("index.json", "\"bucket-0-00000.safetensors\"", "\"../bucket-0-00000.safetensors\"");
  EXPECT_THAT(open_error(), AllOf(HasSubstr("index.json:3:"), HasSubstr("did you mean 'identity'?"),
                                  HasSubstr("has no key 'tokens'"), HasSubstr("unknown key 'token'"),
                                  HasSubstr("did you mean 'tokens'?"), HasSubstr("'height'"), HasSubstr("without a path")));
}

TEST_F(CacheTest, rows_and_shards_report_all_faults_at_once) {
  write_tiny_cache(folder_ / "c");
  replace("rows.jsonl", "\"0-03\"", "\"0-02\"");
  replace("rows.jsonl", "\"row\":1}", "\"row\":2}");
  const auto values = counting(2, 0);
  io::MemoryTensorSource shard;
  shard.add_f32("latents", Shape{1, 2}, values);
  shard.add_f32("latent", Shape{2}, values);
  io::write_safetensors(folder_ / "c/bucket-0-00001.safetensors", shard);
  fs::remove(folder_ / "c/unconditional.safetensors");
  EXPECT_THAT(open_error(),
              AllOf(HasSubstr("rows.jsonl:2: is row 2"), HasSubstr("rows.jsonl:4: id '0-02' is there already"),
                    HasSubstr("'latents' is [1,2], and index.json asks for [4,3,2,2]"), HasSubstr("has no tensor 'time_ids'"),
                    HasSubstr("unknown tensor 'latent'"), HasSubstr("unconditional.safetensors")));
}

TEST_F(CacheTest, missing_and_surplus_rows_are_counted) {
  write_tiny_cache(folder_ / "c");
  const std::string all = read_text(folder_ / "c/rows.jsonl");
  write_text(folder_ / "c/rows.jsonl", all.substr(all.find('\n') + 1));
  EXPECT_THAT(open_error(), HasSubstr("has 9 rows, and index.json counts 10"));
  write_text(folder_ / "c/rows.jsonl", all + "{}\n");
  EXPECT_THAT(open_error(), HasSubstr("has 11 rows, and index.json counts 10"));
}

TEST_F(CacheTest, many_faulty_rows_are_not_all_listed) {
  TinyCache what;
  what.rows = {60};
  write_tiny_cache(folder_ / "c", what);
  std::string text;
  for (int i = 0; i < 60; ++i) text += "{\"id\": 3}\n";
  write_text(folder_ / "c/rows.jsonl", text);
  const std::string error = open_error();
  EXPECT_THAT(error, HasSubstr("further lines were not read"));
  EXPECT_LT(std::count(error.begin(), error.end(), '\n'), 40);
}

TEST_F(CacheTest, a_value_that_is_not_finite_is_refused_with_row_and_tensor) {
  write_tiny_cache(folder_ / "c");
  std::fstream file(folder_ / "c/bucket-0-00002.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-4, std::ios::end);
  file.write("\0\0\xc0\x7f", 4);
  file.close();
  const Cache cache(folder_ / "c");
  EXPECT_THAT(user_error([&] { cache.conditioning(9); }), AllOf(HasSubstr("row 1 ('0-09')"), HasSubstr("not finite")));
}

TEST_F(CacheTest, sizes_above_what_f16_counts_stay_exact) {
  CacheInfo info;
  info.codec = "identity";
  info.channels = 3;
  info.tokens = info.embedding = info.pooled = 1;
  CacheWriter writer(folder_ / "c", info, DType::kF16);
  const Conditioning one{{Shape{1, 1}, {0}}, {Shape{1}, {0}}, {Shape{6}, {4033, 3025, 0, 0, 1024, 1024}}};
  writer.add("a", "a", {Shape{1, 1, 3}, {0, 0, 0}}, one);
  writer.finish(one);
  EXPECT_EQ(Cache(folder_ / "c").conditioning(0).time_ids.values, one.time_ids.values);
}

TEST_F(CacheTest, an_unfinished_writer_leaves_nothing) {
  {
    CacheInfo info;
    info.codec = "identity";
    info.channels = 3;
    info.tokens = info.embedding = 1;
    CacheWriter writer(folder_ / "c", info, DType::kF16, 1);
    const Conditioning one{{Shape{1, 1}, {0}}, {}, {}};
    writer.add("a", "a", {Shape{1, 1, 3}, {0, 0, 0}}, one);
    EXPECT_THAT(user_error([&] {
                  writer.add("a", "b", {Shape{1, 1, 3}, {0, 0, 0}}, one);
                }),
                HasSubstr("id 'a' is there already"));
    EXPECT_THAT(user_error([&] { writer.add("b", "b", {Shape{1, 1, 3}, {0, 1e6f, 0}}, one); }), HasSubstr("f16 does not hold"));
  }
  EXPECT_TRUE(fs::is_empty(folder_));
}

}  // namespace
}  // namespace espalier::data
