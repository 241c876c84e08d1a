#pragma once
// The header of one safetensors file, checked. Shared by the reader and nobody else.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/ir/shape.h"

namespace espalier::io {

struct SafetensorsDType {
  std::string_view name;
  uint32_t bits;
  DType dtype;  // kNone: known to the format, not computed with here
};
const SafetensorsDType* find_safetensors_dtype(std::string_view name);
/// The format's name of `dtype`: "BF16".
std::string_view safetensors_name_of(DType dtype);

struct HeaderEntry {
  std::string_view name;        // into Header::text or Header::decoded
  uint64_t begin = 0, end = 0;  // in the data section
  uint64_t place = 0;           // byte of the file where its key stands
  const SafetensorsDType* dtype = nullptr;
  uint32_t first_dim = 0;  // into Header::dims
  uint8_t rank = 0;
};

struct Header {
  std::string text;
  std::deque<std::string> decoded;   // names that were written with escapes
  std::vector<HeaderEntry> entries;  // in the header's order
  std::vector<int64_t> dims;
  std::unordered_map<std::string_view, uint32_t> index;
  std::map<std::string, std::string> metadata;
  std::vector<std::string> notes;  // accepted, but against the format's README

  Shape shape_of(const HeaderEntry& entry) const;
};

constexpr uint64_t kLargeHeaderBytes = uint64_t{16} << 20;
constexpr uint64_t kHeaderLimitBytes = 100'000'000;
constexpr size_t kTensorLimit = 200'000, kMetadataLimit = 10'000, kNameLimitBytes = 512;

/// Parses and checks `text` against a data section of `data_bytes`. `file` is what messages begin with.
/// Memory: two to three times the header. Errors: UserError.
std::unique_ptr<Header> parse_safetensors_header(std::string text, uint64_t data_bytes, const std::string& file);

/// UserError unless `name` may name a tensor: 1 to 512 bytes without control characters. `where` begins the message.
void check_tensor_name(std::string_view name, const std::string& where);

}  // namespace espalier::io
