#pragma once
// TensorBoard event files: scalars by step, in the record format of TensorFlow (length, masked CRC-32C, protobuf).

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace espalier::train {

/// The record that an event file begins with.
std::string event_file_header(double wall_seconds);
/// A record with scalars of one step. Source: tensorflow/core/util/event.proto, summary.proto; lib/io/record_writer.
std::string event_record(double wall_seconds, int64_t step, const std::vector<std::pair<std::string, float>>& scalars);

/// CRC-32C (Castagnoli), reflected, as RFC 3720 defines it.
uint32_t crc32c(std::string_view bytes);

}  // namespace espalier::train
