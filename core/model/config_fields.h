#pragma once
// Strict reading of one UNet config: typed getters that collect every fault with its place, and the table of fields
// that diffusers knows and espalier holds at their default.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/io/json_reader.h"

namespace espalier::model {

/// Sizes in a config are below this, so that products of a few of them fit 64 bits.
inline constexpr int64_t kSizeLimit = int64_t{1} << 20;

/// One entry of `transformer_layers_per_block`: a depth for the whole stage, or one per layer.
struct DepthEntry {
  bool nested = false;
  std::vector<int64_t> depths;  // one, or one per layer
};

/// Reads the fields of one JSON object. A getter that finds a fault adds it to the errors and answers nullopt, as it
/// does for an absent field.
class FieldReader {
 public:
  FieldReader(const io::JsonValue& object, std::string_view file, ErrorList& errors)
      : object_(object), file_(file), errors_(errors) {}

  bool has(std::string_view name) const { return object_.find(name) != nullptr; }
  /// Present and not null.
  bool given(std::string_view name) const;
  std::optional<int64_t> integer(std::string_view name, int64_t low, int64_t high);
  std::optional<double> number(std::string_view name);
  std::optional<bool> boolean(std::string_view name);
  std::optional<std::string> string(std::string_view name);
  std::optional<std::vector<std::string>> strings(std::string_view name);
  std::optional<std::vector<int64_t>> integers(std::string_view name, int64_t low, int64_t high);
  /// An integer, spread to `count` entries, or a list of `count` integers.
  std::optional<std::vector<int64_t>> per_stage(std::string_view name, size_t count, int64_t low, int64_t high);
  /// A depth, spread to `count` entries (unless `list_only`), or a list of `count` depths or lists of depths.
  std::optional<std::vector<DepthEntry>> depths(std::string_view name, size_t count, int64_t high, bool list_only);
  /// Adds "file:line:column: message" at the field, or at the object when the field is absent.
  void fault(std::string_view name, std::string_view message);

 private:
  std::optional<int64_t> checked(std::string_view name, const io::JsonValue& value, int64_t low, int64_t high);
  void fault_at(const io::JsonValue& value, std::string_view message);
  void wrong_kind(std::string_view name, const io::JsonValue& value, std::string_view wanted);
  const io::JsonValue& object_;
  std::string file_;
  ErrorList& errors_;
};

/// All fields of diffusers' UNet2DConditionModel.
const std::vector<std::string>& known_fields();
/// Reports unknown fields (with the nearest known one) and fields that are not implemented at this value.
void check_inert_fields(const io::JsonValue& object, std::string_view file, ErrorList& errors);
/// The value as it is written in messages: 3, "silu", null, a list.
std::string shown(const io::JsonValue& value);

}  // namespace espalier::model
