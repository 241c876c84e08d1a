#pragma once
// A small cache of made-up rows, whose every value says which row and element it is.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "core/base/error.h"
#include "core/data/cache_writer.h"

namespace espalier::testing {

/// A folder of its own for each test, removed after it.
class FolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "espalier-data-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
};

struct TinyCache {
  std::vector<int64_t> rows = {10};  // by bucket; bucket b has latents of height 2 and width 2 + b
  int64_t channels = 3, tokens = 2, embedding = 4, pooled = 5, rows_per_shard = 4;
  DType dtype = DType::kF32;
  std::string codec = "identity";
};

/// n values that begin at `first` and go up by 1/64: exact in f16 and bf16 as long as they are small.
inline std::vector<float> counting(int64_t n, float first) {
  std::vector<float> values;
  for (int64_t i = 0; i < n; ++i) values.push_back(first + static_cast<float>(i) / 64);
  return values;
}

/// Row r of bucket b: id "b-rr", caption "picture r of b", latents from 1 + r, embeddings from 100 + r, and so on.
inline void write_tiny_cache(const std::filesystem::path& folder, const TinyCache& what = {}) {
  data::CacheInfo info;
  info.codec = what.codec;
  info.channels = what.channels;
  info.tokens = what.tokens;
  info.embedding = what.embedding;
  info.pooled = what.pooled;
  info.source = "made up";
  data::CacheWriter writer(folder, info, what.dtype, what.rows_per_shard);
  const Shape text{what.tokens, what.embedding};
  const bool pooled = what.pooled > 0;
  for (size_t b = 0; b < what.rows.size(); ++b)
    for (int64_t r = 0; r < what.rows[b]; ++r) {
      const int64_t width = 2 + static_cast<int64_t>(b);
      const auto first = static_cast<float>(r);
      data::Conditioning conditioning{{text, counting(text.elements(), 100 + first)}, {}, {}};
      if (pooled) conditioning.text_embeds = {Shape{what.pooled}, counting(what.pooled, 50 + first)};
      if (pooled) conditioning.time_ids = {Shape{6}, counting(6, 25 + first)};
      const std::string number = (r < 10 ? "0" : "") + std::to_string(r);
      writer.add(std::to_string(b) + "-" + number, "picture " + std::to_string(r) + " of " + std::to_string(b),
                 {Shape{2, width, what.channels}, counting(2 * width * what.channels, 1 + first)}, conditioning);
    }
  data::Conditioning unconditional{{text, counting(text.elements(), -9)}, {}, {}};
  if (pooled) unconditional.text_embeds = {Shape{what.pooled}, counting(what.pooled, -19)};
  writer.finish(unconditional);
}

/// The text of the UserError that `call` throws; fails the test when it throws none.
template <typename Call>
std::string user_error(const Call& call) {
  try {
    call();
  } catch (const UserError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no UserError";
  return "";
}

}  // namespace espalier::testing
