#pragma once
// TOML for people: file:line:column on every fault, unknown keys with the nearest known one, all faults at once.
// The tree is toml++'s own; this adds strict reading over it.

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"

#define TOML_EXCEPTIONS 1
#define TOML_MAX_NESTED_VALUES 64
#define TOML_HEADER_ONLY 0
#include <toml++/toml.h>

namespace espalier::io {

/// Errors: UserError "file:line:column: what" for a syntax error, more than 16 MiB, or nesting over 64.
toml::table parse_toml(std::string_view text, std::string_view file);

/// "file:line:column" of a node; of one that was parsed under another name than `file`, that name, alone where it is an option
/// ("--set a=1").
std::string place_of(const toml::node& node, std::string_view file);

/// Strict reading of one table: ask for the keys, then `finish` reports those nobody asked for.
///
/// Every fault goes to `errors` with its place; a getter that finds a fault returns nullopt, as it does for an absent key.
class TomlReader {
 public:
  /// `what` names the table in messages: "plan", "[[remove]] row 2".
  TomlReader(const toml::table& table, std::string file, std::string what, ErrorList& errors);

  bool has(std::string_view key);
  std::optional<std::string> string(std::string_view key);
  std::optional<int64_t> integer(std::string_view key);
  std::optional<double> number(std::string_view key);  // integers too; finite
  std::optional<bool> boolean(std::string_view key);
  const toml::array* array(std::string_view key);
  const toml::table* table(std::string_view key);
  /// Rows of `[[key]]`; empty when absent.
  std::vector<const toml::table*> tables(std::string_view key);
  std::optional<std::vector<std::string>> strings(std::string_view key);
  /// Adds "missing key 'key'" at the table's place unless it is there.
  void require(std::string_view key);
  /// Adds `message` at the place of `key` (or of the table, when absent).
  void fault(std::string_view key, std::string_view message);
  /// The place of `key`'s value, or of the table.
  std::string place(std::string_view key = {}) const;
  int line(std::string_view key = {}) const;
  /// Reports every key that no getter asked for.
  void finish();

 private:
  const toml::node* find(std::string_view key);
  const toml::table& table_;
  std::string file_, what_;
  ErrorList& errors_;
  std::vector<std::string> known_;
};

}  // namespace espalier::io
