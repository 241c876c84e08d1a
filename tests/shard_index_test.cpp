// Every way in which a shard index may be wrong, with the exact message. The numbers are the rows of the corpus of malformed
// files.

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "core/base/error.h"
#include "core/io/memory_source.h"
#include "core/io/safetensors.h"
#include "core/io/safetensors_writer.h"

namespace espalier::io {
namespace {

namespace fs = std::filesystem;

std::string repeat(std::string_view part, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += part;
  return text;
}

template <typename Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

struct IndexCase {
  const char* name;
  std::string index;
  std::string message;  // after "INDEX"; "" when accepted
};
void PrintTo(const IndexCase& c, std::ostream* out) { *out << c.name; }

std::string map_to(const std::string& shard) { return R"({"weight_map":{"a":")" + shard + "\"}}"; }

std::string ten_thousand_shards() {
  std::string text = R"({"weight_map":{"t":"s")";
  for (int i = 0; i < 10'000; ++i) text += ",\"" + std::to_string(i) + R"(":"s)" + std::to_string(i) + "\"";
  return text + "}}";
}

// Beside the index lie: one.safetensors (a), two.safetensors (b), both.safetensors (a, b), link.safetensors → outside.
const std::vector<IndexCase>& index_cases() {
  static const std::vector<IndexCase> kCases = {
      {"accepted", R"({"metadata":{"total_size":8},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})", ""},
      {"r49_traversal", map_to("../x"), ":1:20: the shard name '../x' holds a '/'; shards lie beside their index"},
      {"r50_absolute", map_to("/etc/passwd"), ":1:20: the shard name '/etc/passwd' holds a '/'; shards lie beside their index"},
      {"r51_inner_traversal", map_to("a/../../x"),
       ":1:20: the shard name 'a/../../x' holds a '/'; shards lie beside their index"},
      {"r52_backslash", map_to("..\\\\x"), ":1:20: the shard name '..\\x' holds a '\\'; shards lie beside their index"},
      {"r53_empty", map_to(""), ":1:20: the shard name '' is not a file name"},
      {"r53_dot", map_to("."), ":1:20: the shard name '.' is not a file name"},
      {"r53_two_dots", map_to(".."), ":1:20: the shard name '..' is not a file name"},
      {"r53_control", map_to("a\\nb"), ":1:20: the shard name 'a\\x0Ab' holds a control character"},
      {"r53_long", map_to(std::string(256, 'x')), ":1:20: a shard name has 256 bytes, the limit is 255"},
      {"r54_link_out", map_to("link.safetensors"),
       ": shard 'link.safetensors' is a link out of the index's folder; put the file itself there"},
      {"r57_missing", map_to("gone.safetensors"), ": shard 'gone.safetensors' is missing; download it beside the index"},
      {"r58_not_in_shard", R"({"weight_map":{"a":"one.safetensors","c":"one.safetensors"}})",
       ": tensor 'c' is not in its shard 'one.safetensors'"},
      {"r58_in_another_shard", R"({"weight_map":{"a":"two.safetensors","b":"one.safetensors"}})",
       ": tensor 'a' is not in its shard 'two.safetensors'\nINDEX: tensor 'b' is not in its shard 'one.safetensors'"},
      {"r59_not_in_index", map_to("both.safetensors"), ": tensor 'b' of shard 'both.safetensors' is not in the index"},
      {"r60_in_two_shards", R"({"weight_map":{"a":"one.safetensors","b":"both.safetensors"}})",
       ": tensor 'a' is in two shards, 'one.safetensors' and 'both.safetensors'"},
      {"r62_case", R"({"weight_map":{"a":"one.safetensors","b":"One.safetensors"}})",
       ":1:42: the shard name 'One.safetensors' differs from another only by case"},
      {"r63_many_shards", ten_thousand_shards(), ":1:59236: more than 4,096 shards"},
      {"duplicate_tensor", R"({"weight_map":{"a":"one.safetensors","\u0061":"one.safetensors"}})",
       ":1:38: duplicate key 'a' in 'weight_map'"},
      {"duplicate_map", R"({"weight_map":{},"weight_map":{}})", ":1:18: duplicate key 'weight_map'"},
      {"no_map", R"({"metadata":{}})", ": has no 'weight_map'; it is not a shard index"},
      {"map_is_a_list", R"({"weight_map":[]})", ":1:15: 'weight_map' must be an object"},
      {"shard_is_a_number", R"({"weight_map":{"a":1}})", ":1:20: the shard of 'a' must be a string"},
      {"root_is_a_list", "[]", ":1:1: a shard index must be a JSON object"},
      {"not_json", "{\n \"weight_map\": {", ":2:17: expected a key in quotes, found the end"},
      {"deep", R"({"x":)" + repeat("[", 100'000), ":1:69: nested deeper than 64 levels"},
  };
  return kCases;
}

class MalformedIndex : public testing::TestWithParam<IndexCase> {};

TEST_P(MalformedIndex, is_refused_with_its_sentence) {
  std::string pattern = (fs::temp_directory_path() / "espalier-index-XXXXXX").string();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const fs::path root = pattern, folder = root / "model";
  fs::create_directory(folder);
  const auto tensor = [](std::initializer_list<const char*> names) {
    MemoryTensorSource source;
    for (const char* name : names) source.add_f32(name, {1}, std::vector<float>{1});
    return source;
  };
  write_safetensors(root / "outside.safetensors", tensor({"a"}));
  write_safetensors(folder / "one.safetensors", tensor({"a"}));
  write_safetensors(folder / "two.safetensors", tensor({"b"}));
  write_safetensors(folder / "both.safetensors", tensor({"a", "b"}));
  fs::create_symlink("../outside.safetensors", folder / "link.safetensors");
  const fs::path index = folder / "m.safetensors.index.json";
  std::ofstream(index) << GetParam().index;

  std::string expected = GetParam().message.empty() ? "" : index.string() + GetParam().message;
  if (const size_t at = expected.find("INDEX"); at != std::string::npos) expected.replace(at, 5, index.string());
  EXPECT_EQ(error_of([&] { open_sharded(index); }), expected);
  fs::remove_all(root);
}

INSTANTIATE_TEST_SUITE_P(Corpus, MalformedIndex, testing::ValuesIn(index_cases()),
                         [](const auto& info) { return std::string(info.param.name); });

class ShardNotes : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "espalier-shards-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }
  fs::path folder_;
};

TEST_F(ShardNotes, wrong_total_and_hard_links_are_noted_and_refused_in_strict) {
  MemoryTensorSource source;
  source.add_f32("a", {1}, std::vector<float>{1});
  write_safetensors(folder_ / "one.safetensors", source);
  const fs::path index =
      write("i.safetensors.index.json", R"({"metadata":{"total_size":5},"weight_map":{"a":"one.safetensors"}})");
  const std::string wrong = index.string() + ": total_size is 5, the shards hold 4 bytes";
  std::vector<std::string> notes;
  open_sharded(index, {.notes = &notes});
  EXPECT_EQ(notes, std::vector<std::string>{wrong});
  EXPECT_EQ(error_of([&] { open_sharded(index, {.strict = true}); }), wrong);
  fs::create_hard_link(folder_ / "one.safetensors", folder_ / "other-name");
  EXPECT_EQ(error_of([&] { open_sharded(index, {.strict = true}); }),
            index.string() + ": shard 'one.safetensors' has other hard links; what changes there changes here");
}

TEST_F(ShardNotes, links_within_one_cached_repository_are_followed) {
  fs::create_directories(folder_ / "blobs");
  fs::create_directories(folder_ / "snapshots" / "rev" / "unet");
  MemoryTensorSource source;
  source.add_f32("a", {1}, std::vector<float>{1});
  write_safetensors(folder_ / "blobs" / "hash", source);
  fs::create_symlink("../../../blobs/hash", folder_ / "snapshots" / "rev" / "unet" / "one.safetensors");
  const fs::path index = write("snapshots/rev/unet/i.safetensors.index.json", map_to("one.safetensors"));
  EXPECT_TRUE(open_sharded(index)->contains("a"));
}

}  // namespace
}  // namespace espalier::io
