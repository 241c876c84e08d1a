#include "core/train/event_file.h"

#include <array>
#include <cstring>

namespace espalier::train {
namespace {

void put_fixed(std::string& out, const void* data, size_t bytes) { out.append(static_cast<const char*>(data), bytes); }

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

// Fields of a protobuf message: wire types 0 (varint), 1 (64 bits), 2 (bytes), 5 (32 bits).
void put_double(std::string& out, int field, double value) {
  put_varint(out, static_cast<uint64_t>(field) << 3 | 1);
  put_fixed(out, &value, 8);
}
void put_float(std::string& out, int field, float value) {
  put_varint(out, static_cast<uint64_t>(field) << 3 | 5);
  put_fixed(out, &value, 4);
}
void put_int(std::string& out, int field, int64_t value) {
  put_varint(out, static_cast<uint64_t>(field) << 3);
  put_varint(out, static_cast<uint64_t>(value));
}
void put_bytes(std::string& out, int field, std::string_view bytes) {
  put_varint(out, static_cast<uint64_t>(field) << 3 | 2);
  put_varint(out, bytes.size());
  out += bytes;
}

uint32_t masked(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8U; }

std::string record(const std::string& event) {
  const uint64_t length = event.size();
  std::string out;
  put_fixed(out, &length, 8);
  const uint32_t of_length = masked(crc32c(out));
  put_fixed(out, &of_length, 4);
  out += event;
  const uint32_t of_event = masked(crc32c(event));
  put_fixed(out, &of_event, 4);
  return out;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> made{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0);
      made[i] = crc;
    }
    return made;
  }();
  uint32_t crc = 0xffffffffU;
  for (char c : bytes) crc = table[(crc ^ static_cast<uint8_t>(c)) & 0xff] ^ (crc >> 8);
  return ~crc;
}

std::string event_file_header(double wall_seconds) {
  std::string event;
  put_double(event, 1, wall_seconds);
  put_bytes(event, 3, "brain.Event:2");
  return record(event);
}

std::string event_record(double wall_seconds, int64_t step, const std::vector<std::pair<std::string, float>>& scalars) {
  std::string summary;
  for (const auto& [tag, number] : scalars) {
    std::string value;
    put_bytes(value, 1, tag);
    put_float(value, 2, number);
    put_bytes(summary, 1, value);
  }
  std::string event;
  put_double(event, 1, wall_seconds);
  put_int(event, 2, step);
  put_bytes(event, 5, summary);
  return record(event);
}

}  // namespace espalier::train
