#pragma once
// Bytes of safetensors files, right or wrong, for tests of what must be refused.

#include <cstdint>
#include <string>
#include <string_view>

namespace espalier::testing {

inline std::string repeat(std::string_view part, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += part;
  return text;
}

/// A header's length as the first eight bytes of a file say it.
inline std::string length_bytes(uint64_t length) {
  std::string text;
  for (int i = 0; i < 8; ++i) text += static_cast<char>(length >> (8 * i) & 255);
  return text;
}

inline std::string file_of(const std::string& header, const std::string& data = "") {
  return length_bytes(header.size()) + header + data;
}

inline std::string zeros(size_t count) { return std::string(count, '\0'); }

/// {"a":{"dtype":DTYPE,"shape":SHAPE,"data_offsets":OFFSETS}}
inline std::string one_tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"a":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

}  // namespace espalier::testing
