#define TOML_IMPLEMENTATION
#include "core/io/toml.h"

#include <algorithm>
#include <cmath>

#include "core/base/text.h"

namespace espalier::io {
namespace {

constexpr uint64_t kLimitBytes = uint64_t{16} << 20;

/// A node that was laid over a file's tree knows where it came from: another file, or the command line, which has no lines.
std::string at(const toml::source_region& region, std::string_view file) {
  if (region.path) {
    file = *region.path;
    if (file.starts_with("--")) return std::string(file);
  }
  if (region.begin.line == 0) return std::string(file);  // made by a program
  return std::string(file) + ":" + std::to_string(region.begin.line) + ":" + std::to_string(region.begin.column);
}

std::string kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number";
    case toml::node_type::boolean:
      return "a boolean";
    default:
      return "a date or time";
  }
}

}  // namespace

toml::table parse_toml(std::string_view text, std::string_view file) {
  if (text.size() > kLimitBytes)
    throw UserError(std::string(file) + ": has " + human_bytes(text.size()) + ", the limit for such a file is " +
                    human_bytes(kLimitBytes));
  try {
    return toml::parse(text, file);
  } catch (const toml::parse_error& fault) {
    std::string what = printable(fault.description(), 300);
    if (!what.empty() && what[0] >= 'A' && what[0] <= 'Z') what[0] = static_cast<char>(what[0] - 'A' + 'a');
    throw UserError(at(fault.source(), file) + ": " + what);
  }
}

std::string place_of(const toml::node& node, std::string_view file) { return at(node.source(), file); }

TomlReader::TomlReader(const toml::table& table, std::string file, std::string what, ErrorList& errors)
    : table_(table), file_(std::move(file)), what_(std::move(what)), errors_(errors) {}

const toml::node* TomlReader::find(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.emplace_back(key);
  return table_.get(key);
}

bool TomlReader::has(std::string_view key) { return find(key) != nullptr; }

std::string TomlReader::place(std::string_view key) const {
  const toml::node* node = key.empty() ? nullptr : table_.get(key);
  if (node != nullptr) return place_of(*node, file_);
  const toml::source_region& region = table_.source();
  return region.begin.line == 0 ? file_ : at(region, file_);
}

int TomlReader::line(std::string_view key) const {
  const toml::node* node = key.empty() ? nullptr : table_.get(key);
  return static_cast<int>((node != nullptr ? node->source() : table_.source()).begin.line);
}

void TomlReader::fault(std::string_view key, std::string_view message) { errors_.add(place(key) + ": " + std::string(message)); }

#define ESP_TOML_GETTER(type, name, wanted, test, get)                                \
  std::optional<type> TomlReader::name(std::string_view key) {                        \
    const toml::node* node = find(key);                                               \
    if (node == nullptr) return std::nullopt;                                         \
    if (test) return get;                                                             \
    fault(key, "'" + printable(key) + "' must be " wanted ", not " + kind_of(*node)); \
    return std::nullopt;                                                              \
  }
ESP_TOML_GETTER(std::string, string, "a string", node->is_string(), node->as_string()->get())
ESP_TOML_GETTER(int64_t, integer, "an integer", node->is_integer(), node->as_integer()->get())
ESP_TOML_GETTER(bool, boolean, "a boolean", node->is_boolean(), node->as_boolean()->get())
#undef ESP_TOML_GETTER

std::optional<double> TomlReader::number(std::string_view key) {
  const toml::node* node = find(key);
  if (node == nullptr) return std::nullopt;
  if (!node->is_number()) {
    fault(key, "'" + printable(key) + "' must be a number, not " + kind_of(*node));
    return std::nullopt;
  }
  const double value = *node->value<double>();
  if (std::isfinite(value)) return value;
  fault(key, "'" + printable(key) + "' must be finite");
  return std::nullopt;
}

const toml::array* TomlReader::array(std::string_view key) {
  const toml::node* node = find(key);
  if (node == nullptr || node->is_array()) return node == nullptr ? nullptr : node->as_array();
  fault(key, "'" + printable(key) + "' must be an array, not " + kind_of(*node));
  return nullptr;
}

const toml::table* TomlReader::table(std::string_view key) {
  const toml::node* node = find(key);
  if (node == nullptr || node->is_table()) return node == nullptr ? nullptr : node->as_table();
  fault(key, "'" + printable(key) + "' must be a table, not " + kind_of(*node));
  return nullptr;
}

std::vector<const toml::table*> TomlReader::tables(std::string_view key) {
  std::vector<const toml::table*> rows;
  const toml::node* node = find(key);
  if (node == nullptr) return rows;
  if (!node->is_array()) {
    fault(key, "'" + printable(key) + "' must be an array of tables, written [[" + printable(key) + "]], not " + kind_of(*node));
    return rows;
  }
  for (const toml::node& row : *node->as_array()) {
    if (row.is_table())
      rows.push_back(row.as_table());
    else
      errors_.add(place_of(row, file_) + ": a row of '" + printable(key) + "' must be a table, not " + kind_of(row));
  }
  return rows;
}

std::optional<std::vector<std::string>> TomlReader::strings(std::string_view key) {
  const toml::array* rows = array(key);
  if (rows == nullptr) return std::nullopt;
  std::vector<std::string> values;
  bool good = true;
  for (const toml::node& row : *rows) {
    if (row.is_string()) {
      values.push_back(row.as_string()->get());
    } else {
      good = false;
      errors_.add(place_of(row, file_) + ": an element of '" + printable(key) + "' must be a string, not " + kind_of(row));
    }
  }
  return good ? std::optional(values) : std::nullopt;
}

void TomlReader::require(std::string_view key) {
  if (find(key) == nullptr) fault({}, what_ + " has no '" + std::string(key) + "'");
}

void TomlReader::finish() {
  for (const auto& [key, node] : table_) {
    const std::string_view name = key.str();
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    // A key that was laid over the file has no place of its own, but its value has.
    const toml::source_region& place = key.source().begin.line == 0 ? node.source() : key.source();
    errors_.add(at(place, file_) + ": unknown key '" + printable(name) + "' in " + what_ + did_you_mean(name, known_));
  }
}

}  // namespace espalier::io
