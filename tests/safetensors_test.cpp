#include "core/io/safetensors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/io/memory_source.h"
#include "core/io/safetensors_writer.h"

namespace espalier::io {
namespace {

namespace fs = std::filesystem;

class Safetensors : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "espalier-safetensors-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::vector<std::byte> pattern(size_t count) {
    std::vector<std::byte> bytes(count);
    for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>((i * 7 + 3) & 0x3f);
    return bytes;
  }
  fs::path write_raw(const std::string& name, const std::string& header, const std::string& data) const {
    std::string text;
    for (int i = 0; i < 8; ++i) text += static_cast<char>(header.size() >> (8 * i) & 255);
    std::ofstream(folder_ / name, std::ios::binary) << text << header << data;
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
  return "no error";
}

TEST_F(Safetensors, writes_and_reads_every_dtype_scalars_and_empty_tensors_in_the_given_order) {
  MemoryTensorSource source;
  const DType dtypes[] = {DType::kU8,   DType::kF64, DType::kF16, DType::kBool,
                          DType::kBF16, DType::kI64, DType::kF32, DType::kI32};
  for (const DType dtype : dtypes) {
    const std::string name(name_of(dtype));
    source.add(name + ".matrix", {dtype, {2, 3}}, pattern(6 * size_of(dtype)));
    source.add(name + ".scalar", {dtype, {}}, pattern(size_of(dtype)));
    source.add(name + ".empty", {dtype, {4, 0, 2}}, {});
  }
  write_safetensors(folder_ / "all.safetensors", source, {{"format", "pt"}, {"quote\"", "line\nend"}});

  const TensorSourcePtr read = open_safetensors(folder_ / "all.safetensors");
  EXPECT_EQ(read->names(), source.names());
  for (const std::string& name : source.names()) {
    const TensorRef expected = source.get(name), got = read->get(name);
    EXPECT_EQ(got.type, expected.type) << name;
    EXPECT_TRUE(std::equal(got.bytes.begin(), got.bytes.end(), expected.bytes.begin(), expected.bytes.end())) << name;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(got.bytes.data()) % std::max<uint64_t>(1, size_of(got.type.dtype)), 0U) << name;
  }
  EXPECT_EQ(read_metadata(folder_ / "all.safetensors"),
            (std::map<std::string, std::string>{{"format", "pt"}, {"quote\"", "line\nend"}}));
}

TEST_F(Safetensors, bytes_of_a_file_are_deterministic_and_as_the_format_says) {
  MemoryTensorSource source;
  source.add_f32("w", {2}, std::vector<float>{1.0F, -2.0F});
  write_safetensors(folder_ / "one.safetensors", source);
  const std::string header = R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  std::string expected(8, '\0');
  expected[0] = static_cast<char>(padded.size());
  expected += padded + std::string("\x00\x00\x80\x3f\x00\x00\x00\xc0", 8);
  EXPECT_EQ(read_text(folder_ / "one.safetensors"), expected);
}

TEST_F(Safetensors, reads_a_header_whose_order_is_not_that_of_the_data) {
  const fs::path file = write_raw(
      "unsorted.safetensors",
      R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},"a":{"data_offsets":[0,1],"shape":[1],"dtype":"U8"}})", "abc");
  const TensorSourcePtr read = open_safetensors(file);
  EXPECT_EQ(read->names(), (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(static_cast<char>(read->get("b").bytes[1]), 'c');
  EXPECT_EQ(static_cast<char>(read->get("a").bytes[0]), 'a');
}

TEST_F(Safetensors, tensors_off_their_alignment_are_handed_out_aligned) {
  const fs::path file =
      write_raw("odd.safetensors",
                R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})",
                std::string("x\x00\x00\x80\x3f", 5));
  const TensorSourcePtr read = open_safetensors(file);
  const TensorRef tensor = read->get("b");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.bytes.data()) % 4, 0U);
  EXPECT_EQ(read_f32(tensor), std::vector<float>{1.0F});
  EXPECT_EQ(read->get("b").bytes.data(), tensor.bytes.data());
}

TEST_F(Safetensors, dropped_pages_read_the_same_again) {
  MemoryTensorSource source;
  source.add("big", {DType::kU8, {100'000}}, pattern(100'000));
  write_safetensors(folder_ / "big.safetensors", source);
  const TensorSourcePtr read = open_safetensors(folder_ / "big.safetensors");
  read->drop_pages("big");
  read->drop_pages("absent");
  const TensorRef got = read->get("big");
  const auto expected = pattern(100'000);
  EXPECT_TRUE(std::equal(got.bytes.begin(), got.bytes.end(), expected.begin(), expected.end()));
}

TEST_F(Safetensors, an_unknown_tensor_is_refused_with_the_nearest_name) {
  MemoryTensorSource source("teacher");
  source.add_f32("conv_in.weight", {1}, std::vector<float>{1});
  EXPECT_EQ(error_of([&] { source.get("conv_in.wieght"); }),
            "teacher: has no tensor 'conv_in.wieght'; did you mean 'conv_in.weight'?");
}

TEST_F(Safetensors, types_not_computed_with_are_listed_and_refused_by_name) {
  const fs::path file = write_raw("f8.safetensors", R"({"q":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})", "x");
  const TensorSourcePtr read = open_safetensors(file);
  EXPECT_TRUE(read->contains("q"));
  EXPECT_EQ(
      error_of([&] { read->get("q"); }),
      file.string() + ": tensor 'q' has type F8_E4M3, which espalier does not compute with; convert it to F16, BF16 or F32");
}

TEST_F(Safetensors, converts_between_floating_types_while_writing) {
  MemoryTensorSource source;
  const std::vector<float> values = {0.0F, 1.0F, -1.5F, 65504.0F, 1e-3F, 3.14159265F};
  source.add_f32("w", {2, 3}, values);
  source.add("ids", {DType::kI64, {1}}, pattern(8));
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    write_safetensors(folder_ / "half.safetensors", source, {}, dtype);
    const TensorSourcePtr read = open_safetensors(folder_ / "half.safetensors");
    EXPECT_EQ(read->get("w").type.dtype, dtype);
    EXPECT_EQ(read->get("ids").type.dtype, DType::kI64);
    const std::vector<float> back = read_f32(read->get("w"));
    const float relative = dtype == DType::kF16 ? 1.0F / 2048 : 1.0F / 256;
    for (size_t i = 0; i < values.size(); ++i) EXPECT_LE(std::abs(back[i] - values[i]), relative * std::abs(values[i])) << i;
    write_safetensors(folder_ / "wide.safetensors", *read, {}, DType::kF32);
    EXPECT_EQ(read_f32(open_safetensors(folder_ / "wide.safetensors")->get("w")), back);
  }
  EXPECT_EQ(error_of([&] { convert(source.get("ids"), DType::kF32); }),
            "a tensor of type i64 cannot be converted; f32, f16 and bf16 can");
}

TEST_F(Safetensors, conversion_in_pieces_gives_the_bytes_of_one_piece) {
  MemoryTensorSource source;
  std::vector<float> values(1001);
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i)) * 100;
  source.add_f32("w", {1001}, values);
  std::vector<std::byte> pieces;
  size_t calls = 0;
  convert_chunks(
      source.get("w"), DType::kBF16,
      [&](std::span<const std::byte> part) {
        ++calls;
        pieces.insert(pieces.end(), part.begin(), part.end());
      },
      100);
  EXPECT_EQ(calls, 11U);
  EXPECT_EQ(pieces, convert(source.get("w"), DType::kBF16));
}

TEST_F(Safetensors, the_writer_refuses_what_was_not_declared_and_leaves_nothing) {
  MemoryTensorSource source;
  source.add_f32("a", {1}, std::vector<float>{1});
  source.add_f32("b", {2}, std::vector<float>{1, 2});
  const fs::path file = folder_ / "half-done.safetensors";
  {
    SafetensorsWriter writer(file, {{"a", f32({1})}, {"b", f32({2})}});
    EXPECT_THROW(writer.write("b", source.get("b")), InternalError);
    writer.write("a", source.get("a"));
    EXPECT_THROW(writer.finish(), InternalError);
  }
  EXPECT_TRUE(fs::is_empty(folder_));
  EXPECT_EQ(error_of([&] {
              SafetensorsWriter(file, {{"a", f32({1})}, {"a", f32({1})}});
            }),
            file.string() + ": the tensor name 'a' is taken; each tensor needs its own");
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(Safetensors, parts_may_be_appended_across_empty_tensors) {
  const fs::path file = folder_ / "parts.safetensors";
  SafetensorsWriter writer(file, {{"none", f32({0})}, {"two", f32({2})}, {"last", f32({0})}});
  const std::vector<float> values = {3, 4};
  writer.append(std::as_bytes(std::span(values).first(1)));
  writer.append(std::as_bytes(std::span(values).last(1)));
  writer.finish();
  EXPECT_EQ(read_f32(open_safetensors(file)->get("two")), values);
}

TEST_F(Safetensors, a_renamed_source_shows_only_its_rows) {
  auto inner = std::make_shared<MemoryTensorSource>("inner");
  inner->add_f32("old.a", {1}, std::vector<float>{1});
  inner->add_f32("old.b", {1}, std::vector<float>{2});
  const RenamedTensorSource renamed(inner, {{"new.b", "old.b"}, {"twice.b", "old.b"}});
  EXPECT_EQ(renamed.names(), (std::vector<std::string>{"new.b", "twice.b"}));
  EXPECT_FALSE(renamed.contains("old.a"));
  EXPECT_EQ(read_f32(renamed.get("twice.b")), std::vector<float>{2});
  EXPECT_EQ(error_of([&] {
              RenamedTensorSource(inner, {{"x", "old.c"}});
            }),
            "inner: has no tensor 'old.c'; did you mean 'old.a' or 'old.b'?");
}

TEST_F(Safetensors, shards_are_one_source) {
  MemoryTensorSource first, second;
  first.add_f32("a", {1}, std::vector<float>{1});
  second.add_f32("b", {2}, std::vector<float>{2, 3});
  write_safetensors(folder_ / "m-00001-of-00002.safetensors", first);
  write_safetensors(folder_ / "m-00002-of-00002.safetensors", second);
  write_text(
      folder_ / "m.safetensors.index.json",
      R"({"metadata":{"total_size":12},"weight_map":{"a":"m-00001-of-00002.safetensors","b":"m-00002-of-00002.safetensors"}})");
  std::vector<std::string> notes;
  const TensorSourcePtr read = open_sharded(folder_ / "m.safetensors.index.json", {.notes = &notes});
  EXPECT_EQ(read->names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(read_f32(read->get("b")), (std::vector<float>{2, 3}));
  EXPECT_TRUE(notes.empty());
}

TEST_F(Safetensors, a_folder_gives_its_weights_by_a_fixed_precedence_that_is_noted) {
  const std::string stem = "diffusion_pytorch_model";
  EXPECT_EQ(error_of([&] { open_weights(folder_); }), folder_.string() + ": has no diffusion_pytorch_model.safetensors (nor " +
                                                          "diffusion_pytorch_model.safetensors.index.json)");
  write_text(folder_ / (stem + ".bin"), "x");
  EXPECT_EQ(
      error_of([&] { open_weights(folder_); }),
      folder_.string() +
          ": has only diffusion_pytorch_model.bin, a pickle that would run code when opened; convert it to safetensors first");
  MemoryTensorSource half, full;
  half.add_f32("half", {1}, std::vector<float>{1});
  full.add_f32("full", {1}, std::vector<float>{1});
  write_safetensors(folder_ / (stem + ".fp16.safetensors"), half);
  EXPECT_TRUE(open_weights(folder_)->contains("half"));
  write_safetensors(folder_ / (stem + ".safetensors"), full);
  std::vector<std::string> notes;
  EXPECT_TRUE(open_weights(folder_, {.notes = &notes})->contains("full"));
  EXPECT_EQ(notes,
            std::vector<std::string>{
                folder_.string() + ": reads diffusion_pytorch_model.safetensors, not diffusion_pytorch_model.fp16.safetensors"});
  EXPECT_EQ(error_of([&] { open_weights(folder_ / "absent"); }), (folder_ / "absent").string() + ": no such file or folder");
}

}  // namespace
}  // namespace espalier::io
