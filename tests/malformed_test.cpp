// Every way in which a safetensors file may be wrong, with the exact message. The numbers are the rows
// of the corpus of malformed files; each case also runs under the sanitizers.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>

#include "core/base/error.h"
#include "core/io/safetensors.h"
#include "tests/support/safetensors_bytes.h"

namespace espalier::io {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

using testing::file_of;
using testing::length_bytes;
using testing::repeat;
using testing::zeros;

struct Case {
  const char* name;
  std::function<std::string()> bytes;
  std::string message;  // after "FILE: "; "" when the file is accepted
  OpenOptions options = {};
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

const std::string kAgain = "; the file is damaged, get it again";
const std::string kBadJson = "the header is not valid JSON: ";
const std::string kPickle = ", not safetensors; pickles run code and are never opened, convert it to safetensors first";
const std::string kKnown =
    "; known are F64 F32 F16 BF16 I64 I32 U8 BOOL I16 I8 U16 U32 U64 C64 F8_E4M3 F8_E5M2 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ F6_E2M3 "
    "F6_E3M2 F4";
const std::string kU8 = R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
const std::string kDimension = "; a dimension is a whole number from 0 to 2^63-1";
const std::string kOffset = "; an offset is a whole number from 0 to 2^64-1";

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases = {
      {"r01_empty", [] { return ""s; }, "is empty; get it again"},
      {"r01_seven_bytes", [] { return zeros(7); }, "is cut off: 7 bytes, a header length takes 8; get it again"},
      {"r02_header_length_0", [] { return zeros(16); }, "the header length at byte 0 is 0; this is not a safetensors file"},
      {"r03_length_past_end", [] { return length_bytes(100) + "{}"; },
       "the header length at byte 0 is 100, only 2 bytes follow; the file is cut off or not safetensors"},
      {"r04_length_2_64", [] { return std::string(8, '\xff') + "{}"; },
       "the header length at byte 0 is 18446744073709551615, the format's limit is 100000000; this is not a safetensors file"},
      {"r05_length_over_100_mb", [] { return length_bytes(100'000'001) + "{}"; },
       "the header length at byte 0 is 100000001, the format's limit is 100000000; this is not a safetensors file"},
      {"r06_header_over_16_mib", [] { return file_of("{}" + std::string((16 << 20) - 1, ' ')); },
       "the header length at byte 0 is 16777217, over 16 MiB; pass --large-headers if you trust the file"},
      {"r06_header_over_16_mib_allowed",
       [] { return file_of("{}" + std::string((16 << 20) - 1, ' ')); },
       "",
       {.allow_large_header = true}},
      {"r07_git_lfs_pointer", [] { return "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5135149760\n"s; },
       "is a Git LFS pointer, not the weights; fetch them with 'git lfs pull'"},
      {"r08_html", [] { return "<!DOCTYPE html><html><body>404</body></html>"s; },
       "is an HTML page, not safetensors; the download failed, get it again"},
      {"r08_zip", [] { return "PK\x03\x04\0\0\x08\x08archive/data.pkl"s; }, "is a zip or pickled PyTorch file" + kPickle},
      {"r08_pickle", [] { return "\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."s; },
       "is a pickled PyTorch file" + kPickle},
      {"r08_gguf", [] { return "GGUF\x03\0\0\0\0\0\0\0"s; }, "is a GGUF file, not safetensors; convert it to safetensors first"},
      {"r08_json", [] { return R"({"sample_size": 128})"s; },
       "is JSON text, not safetensors; name the .safetensors file or its .index.json"},
      {"r09_not_utf8", [] { return file_of("{\"\xff\":" + kU8 + "}", "x"); },
       "header byte 10: " + kBadJson + "a string is not UTF-8 at byte '\\xFF'" + kAgain},
      {"r09_byte_order_mark", [] { return file_of("\xEF\xBB\xBF{}"); },
       "header byte 8: " + kBadJson + "begins with a byte-order mark; save it as UTF-8 without one" + kAgain},
      {"r10_root_is_an_array", [] { return file_of("[]"); }, "header byte 8: the header is not a JSON object"},
      {"r11_leading_space_is_noted", [] { return file_of("  {}"); }, ""},
      {"r11_leading_space_strict", [] { return file_of("  {}"); }, "the header begins with white space", {.strict = true}},
      {"r12_trailing_space", [] { return file_of("{}    \n"); }, ""},
      {"r13_trailing_nul", [] { return file_of("{}\0"s); },
       "header byte 10: " + kBadJson + "expected nothing after the value, found '\\x00'" + kAgain},
      {"r13_second_value", [] { return file_of("{} {}"); },
       "header byte 11: " + kBadJson + "expected nothing after the value, found '{'" + kAgain},
      {"r13_comment", [] { return file_of("{/**/}"); },
       "header byte 9: " + kBadJson + "expected a key in quotes, found '/'" + kAgain},
      {"r13_trailing_comma", [] { return file_of("{\"a\":" + kU8 + ",}", "x"); },
       "header byte 61: " + kBadJson + "expected a key in quotes, found '}'" + kAgain},
      {"r14_truncated_json", [] { return file_of(R"({"a":{"dtype":"F)"); },
       "header byte 22: " + kBadJson + "a string has no end" + kAgain},
      {"r15_deep_metadata", [] { return file_of(R"({"__metadata__":)" + repeat("[", 100'000)); },
       "header byte 24: '__metadata__' must be an object of strings, not an array"},
      {"r15_deep_unknown_field", [] { return file_of(R"({"a":{"x":)" + repeat("[", 100'000)); },
       "header byte 80: " + kBadJson + "nested deeper than 64 levels" + kAgain},
      {"r16_duplicate_tensor", [] { return file_of("{\"a\":" + kU8 + ",\"a\":" + kU8 + "}", "x"); },
       "header byte 61: duplicate tensor name 'a'"},
      {"r17_duplicate_through_escape", [] { return file_of("{\"a\":" + kU8 + ",\"\\u0061\":" + kU8 + "}", "x"); },
       "header byte 61: duplicate tensor name 'a'"},
      {"r18_duplicate_field",
       [] { return file_of(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x"); },
       "header byte 27: duplicate field 'dtype' of tensor 'a'"},
      {"r18_two_metadata", [] { return file_of(R"({"__metadata__":{},"__metadata__":{}})"); },
       "header byte 27: duplicate key '__metadata__'"},
      {"r19_duplicate_in_metadata", [] { return file_of(R"({"__metadata__":{"k":"1","k":"2"}})"); },
       "header byte 33: duplicate key 'k' in '__metadata__'"},
      {"r20_metadata_not_a_string", [] { return file_of(R"({"__metadata__":{"k":1}})"); },
       "header byte 29: '__metadata__' entry 'k' must be a string, not 1"},
      {"r20_metadata_a_string", [] { return file_of(R"({"__metadata__":"pt"})"); },
       "header byte 24: '__metadata__' must be an object of strings, not the string 'pt'"},
      {"r21_metadata_null", [] { return file_of(R"({"__metadata__":null})"); }, ""},
      {"r21_metadata_null_strict",
       [] { return file_of(R"({"__metadata__":null})"); },
       "'__metadata__' is null",
       {.strict = true}},
      {"r22_unknown_field",
       [] { return file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"crc":{"x":[1]}}})", "x"); }, ""},
      {"r22_unknown_field_strict",
       [] { return file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"crc":7}})", "x"); },
       "1 field that the format does not define (first: 'crc' of tensor 'a')",
       {.strict = true}},
      {"r23_no_dtype", [] { return file_of(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", "x"); },
       "header byte 46: tensor 'a' has no 'dtype'"},
      {"r23_no_shape", [] { return file_of(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", "x"); },
       "header byte 47: tensor 'a' has no 'shape'"},
      {"r23_no_offsets", [] { return file_of(R"({"a":{"dtype":"U8","shape":[1]}})", "x"); },
       "header byte 38: tensor 'a' has no 'data_offsets'"},
      {"r23_entry_is_null", [] { return file_of(R"({"a":null})"); },
       "header byte 13: tensor 'a' must be described by an object, not null"},
      {"r24_unknown_dtype", [] { return file_of(testing::one_tensor("\"F33\"", "[1]", "[0,4]"), zeros(4)); },
       "header byte 22: tensor 'a' has dtype 'F33'" + kKnown},
      {"r24_lower_case_dtype", [] { return file_of(testing::one_tensor("\"f32\"", "[1]", "[0,4]"), zeros(4)); },
       "header byte 22: tensor 'a' has dtype 'f32'" + kKnown},
      {"r24_dtype_number", [] { return file_of(testing::one_tensor("7", "[1]", "[0,4]"), zeros(4)); },
       "header byte 22: tensor 'a' has dtype 7" + kKnown},
      {"r25_negative_dimension", [] { return file_of(testing::one_tensor("\"F32\"", "[-1]", "[0,4]"), zeros(4)); },
       "header byte 37: the shape of tensor 'a' holds -1" + kDimension},
      {"r25_float_dimension", [] { return file_of(testing::one_tensor("\"F32\"", "[1.0]", "[0,4]"), zeros(4)); },
       "header byte 37: the shape of tensor 'a' holds 1.0" + kDimension},
      {"r25_exponent_dimension", [] { return file_of(testing::one_tensor("\"F32\"", "[1e0]", "[0,4]"), zeros(4)); },
       "header byte 37: the shape of tensor 'a' holds 1e0" + kDimension},
      {"r25_string_dimension", [] { return file_of(testing::one_tensor("\"F32\"", "[\"1\"]", "[0,4]"), zeros(4)); },
       "header byte 37: the shape of tensor 'a' holds the string '1'" + kDimension},
      {"r25_nan_dimension", [] { return file_of(testing::one_tensor("\"F32\"", "[NaN]", "[0,4]"), zeros(4)); },
       "header byte 37: " + kBadJson + "expected a value, found 'N'" + kAgain},
      {"r25_leading_zero", [] { return file_of(testing::one_tensor("\"F32\"", "[01]", "[0,4]"), zeros(4)); },
       "header byte 37: " + kBadJson + "a number begins with 0" + kAgain},
      {"r25_shape_is_a_number", [] { return file_of(testing::one_tensor("\"F32\"", "1", "[0,4]"), zeros(4)); },
       "header byte 36: the shape of tensor 'a' must be an array, not 1"},
      {"r26_dimension_2_64", [] { return file_of(testing::one_tensor("\"F32\"", "[18446744073709551616]", "[0,4]"), zeros(4)); },
       "header byte 37: the shape of tensor 'a' holds 18446744073709551616" + kDimension},
      {"r26_dimension_2_63", [] { return file_of(testing::one_tensor("\"F32\"", "[9223372036854775808]", "[0,4]"), zeros(4)); },
       "header byte 37: the shape of tensor 'a' holds 9223372036854775808" + kDimension},
      {"r26_million_digits",
       [] { return file_of(testing::one_tensor("\"F32\"", "[" + std::string(1'000'000, '9') + "]", "[0,4]"), zeros(4)); },
       "header byte 37: the shape of tensor 'a' holds " + std::string(40, '9') + "…" + kDimension},
      {"r27_product_wraps", [] { return file_of(testing::one_tensor("\"U8\"", "[4294967296,4294967296]", "[0,0]")); },
       "header byte 79: tensor 'a' of shape [4294967296,4294967296] is larger than any file can be"},
      {"r27_wraps_then_zero", [] { return file_of(testing::one_tensor("\"U8\"", "[4294967296,4294967296,0]", "[0,0]")); },
       "header byte 81: tensor 'a' of shape [4294967296,4294967296,0] is larger than any file can be"},
      {"r28_zero_then_wraps", [] { return file_of(testing::one_tensor("\"U8\"", "[0,4611686018427387904,8]", "[0,0]")); },
       "header byte 81: tensor 'a' of shape [0,4611686018427387904,8] is larger than any file can be"},
      {"r29_bytes_wrap", [] { return file_of(testing::one_tensor("\"F64\"", "[2305843009213693952]", "[0,0]")); },
       "header byte 78: tensor 'a' of shape [2305843009213693952] is larger than any file can be"},
      {"r30_rank_100000", [] { return file_of(testing::one_tensor("\"U8\"", "[1" + repeat(",1", 99'999) + "]", "[0,1]"), "x"); },
       "header byte 52: the shape of tensor 'a' has more than 8 dimensions"},
      {"r30_rank_8", [] { return file_of(testing::one_tensor("\"U8\"", "[1,1,1,1,1,1,1,1]", "[0,1]"), "x"); }, ""},
      {"r31_reversed", [] { return file_of(testing::one_tensor("\"U8\"", "[1]", "[1,0]"), "x"); },
       "header byte 58: data_offsets of tensor 'a' are reversed: [1,0]"},
      {"r31_negative", [] { return file_of(testing::one_tensor("\"U8\"", "[1]", "[-1,0]"), "x"); },
       "header byte 55: data_offsets of tensor 'a' holds -1" + kOffset},
      {"r31_three", [] { return file_of(testing::one_tensor("\"U8\"", "[1]", "[0,1,1]"), "x"); },
       "header byte 59: data_offsets of tensor 'a' has more than two numbers"},
      {"r31_one", [] { return file_of(testing::one_tensor("\"U8\"", "[1]", "[0]"), "x"); },
       "header byte 56: data_offsets of tensor 'a' must be two numbers"},
      {"r31_object", [] { return file_of(testing::one_tensor("\"U8\"", "[1]", "{}"), "x"); },
       "header byte 54: data_offsets of tensor 'a' must be an array, not an object"},
      {"r32_end_past_file", [] { return file_of(testing::one_tensor("\"U8\"", "[9]", "[0,9]"), "x"); },
       "is cut off: its tensors need 9 data bytes, it has 1 (last tensor 'a'); get it again"},
      {"r32_end_2_64", [] { return file_of(testing::one_tensor("\"U8\"", "[1]", "[0,18446744073709551615]"), "x"); },
       "header byte 78: tensor 'a' of type U8[1] needs 1 bytes, its data_offsets give 18446744073709551615"},
      {"r32_end_over_2_64", [] { return file_of(testing::one_tensor("\"U8\"", "[1]", "[0,18446744073709551616]"), "x"); },
       "header byte 57: data_offsets of tensor 'a' holds 18446744073709551616" + kOffset},
      {"r32_eight_sum_to_2_64",
       [] {
         std::string header = "{";
         for (uint64_t i = 0; i < 7; ++i)
           header += (i ? ",\"t"s : "\"t"s) + std::to_string(i) +
                     R"(":{"dtype":"U8","shape":[2305843009213693952],"data_offsets":[)" + std::to_string(i << 61) + "," +
                     std::to_string((i + 1) << 61) + "]}";
         return file_of(
             header +
                 R"(,"t7":{"dtype":"U8","shape":[2305843009213693951],"data_offsets":[16140901064495857664,18446744073709551615]}})",
             "x");
       },
       "header byte 96: tensor 't0' of shape [2305843009213693952] is larger than any file can be"},
      {"r33_size_disagrees", [] { return file_of(testing::one_tensor("\"F32\"", "[2]", "[0,4]"), zeros(4)); },
       "header byte 60: tensor 'a' of type F32[2] needs 8 bytes, its data_offsets give 4"},
      {"r34_same_bytes_twice", [] { return file_of("{\"a\":" + kU8 + ",\"b\":" + kU8 + "}", "x"); },
       "tensors 'a' and 'b' overlap at data byte 0" + kAgain},
      {"r34_partial_overlap",
       [] {
         return file_of(
             R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
             "xyz");
       },
       "tensors 'a' and 'b' overlap at data byte 1" + kAgain},
      {"r35_hole_at_start", [] { return file_of(testing::one_tensor("\"U8\"", "[1]", "[1,2]"), "xy"); },
       "data bytes 0 to 1 before tensor 'a' belong to no tensor" + kAgain},
      {"r35_hole_between",
       [] {
         return file_of(
             R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}})",
             "wxyz");
       },
       "data bytes 1 to 3 before tensor 'b' belong to no tensor" + kAgain},
      {"r36_zip_appended", [] { return file_of("{\"a\":" + kU8 + "}", "xPK\x05\x06" + zeros(18)); },
       "22 bytes follow the last tensor" + kAgain},
      {"r36_bytes_without_tensors", [] { return file_of("{}", "x"); }, "1 bytes follow the last tensor" + kAgain},
      {"r37_last_two_bytes_missing", [] { return file_of(testing::one_tensor("\"F32\"", "[2]", "[0,8]"), zeros(6)); },
       "is cut off: its tensors need 8 data bytes, it has 6 (last tensor 'a'); get it again"},
      {"r38_empty_scalar_unsorted",
       [] {
         return file_of(
             R"({"s":{"dtype":"U8","shape":[],"data_offsets":[1,2]},"z":{"dtype":"F32","shape":[0,5],"data_offsets":[2,2]},"a":)" +
                 kU8 + "}",
             "xy");
       },
       ""},
      {"r38_no_tensors", [] { return file_of("{}"); }, ""},
      {"r39_empty_name", [] { return file_of("{\"\":" + kU8 + "}", "x"); }, "header byte 9: a tensor has an empty name"},
      {"r39_nul_in_name", [] { return file_of("{\"a\\u0000b\":" + kU8 + "}", "x"); },
       "header byte 9: the tensor name 'a\\x00b' holds a control character"},
      {"r39_name_of_1_mb", [] { return file_of("{\"" + std::string(1'000'000, 'n') + "\":" + kU8 + "}", "x"); },
       "header byte 9: the tensor name '" + std::string(40, 'n') + "…' has 1000000 bytes, the limit is 512"},
      {"r39_name_of_512", [] { return file_of("{\"" + std::string(512, 'n') + "\":" + kU8 + "}", "x"); }, ""},
      {"r40_traversal_is_only_a_name", [] { return file_of("{\"../../x\":" + kU8 + "}", "x"); }, ""},
      {"r41_lone_surrogate", [] { return file_of("{\"\\ud800\":" + kU8 + "}", "x"); },
       "header byte 10: " + kBadJson + "a lone surrogate in an escape" + kAgain},
      {"r43_odd_count_of_4_bit", [] { return file_of(testing::one_tensor("\"F4\"", "[3]", "[0,2]"), "xy"); },
       "header byte 59: tensor 'a' of type F4[3] does not fill whole bytes"},
      {"r43_even_count_of_4_bit", [] { return file_of(testing::one_tensor("\"F4\"", "[4]", "[0,2]"), "xy"); }, ""},
      {"r45_million_empty_tensors",
       [] {
         std::string header = "{";
         for (int i = 0; i < 1'000'000; ++i)
           header += (i ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
         return file_of(header + "}");
       },
       "header byte 11288899: more than 200,000 tensors; split the file",
       {.allow_large_header = true}},
      {"r45_many_metadata_entries",
       [] {
         std::string header = R"({"__metadata__":{"k":"")";
         for (int i = 0; i < 20'000; ++i) header += ",\"" + std::to_string(i) + "\":\"\"";
         return file_of(header + "}}");
       },
       "header byte 98912: more than 10,000 entries in '__metadata__'"},
  };
  return kCases;
}

class TempFolder : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "espalier-malformed-XXXXXX").string();
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

template <typename Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

using MalformedFile = TempFolder;

TEST_P(MalformedFile, is_refused_with_its_sentence) {
  const fs::path file = write("f.safetensors", GetParam().bytes());
  const std::string error = error_of([&] { open_safetensors(file, GetParam().options); });
  EXPECT_EQ(error, GetParam().message.empty() ? "" : file.string() + ": " + GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(Corpus, MalformedFile, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return std::string(info.param.name); });

using NotAFile = TempFolder;

TEST_F(NotAFile, is_refused_without_waiting) {
  ASSERT_EQ(::mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  const auto started = std::chrono::steady_clock::now();
  EXPECT_EQ(error_of([&] { open_safetensors(folder_ / "fifo"); }), (folder_ / "fifo").string() + ": is not a regular file");
  EXPECT_EQ(error_of([&] { open_safetensors(folder_); }), folder_.string() + ": is a folder, a safetensors file is needed");
  EXPECT_EQ(error_of([&] { open_safetensors("/dev/zero"); }), "/dev/zero: is not a regular file");
  EXPECT_EQ(error_of([&] { open_safetensors("/proc/self/status"); }), "/proc/self/status: is empty; get it again");
  EXPECT_EQ(error_of([&] { open_safetensors(folder_ / "absent"); }),
            (folder_ / "absent").string() + ": cannot open: No such file or directory");
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(1));
}

TEST_F(NotAFile, a_sparse_terabyte_is_refused_at_once) {
  const fs::path file = write("sparse.safetensors", file_of("{\"a\":" + kU8 + "}", "x"));
  ASSERT_EQ(::truncate(file.c_str(), off_t{1} << 40), 0);
  EXPECT_EQ(error_of([&] { open_safetensors(file); }), file.string() + ": 1099511627714 bytes follow the last tensor" + kAgain);
}

TEST_F(NotAFile, notes_say_what_was_tolerated) {
  std::vector<std::string> notes;
  open_safetensors(write("a", file_of("  {}")), {.notes = &notes});
  open_safetensors(write("b", file_of(R"({"__metadata__":null})")), {.notes = &notes});
  open_safetensors(write("c", file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1,"y":2}})", "x")),
                   {.notes = &notes});
  EXPECT_EQ(notes, (std::vector<std::string>{
                       (folder_ / "a").string() + ": the header begins with white space",
                       (folder_ / "b").string() + ": '__metadata__' is null",
                       (folder_ / "c").string() + ": 2 fields that the format does not define (first: 'x' of tensor 'a')"}));
}

}  // namespace
}  // namespace espalier::io
