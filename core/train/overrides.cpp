#include "core/train/overrides.h"

#include <charconv>

#include "core/base/text.h"

namespace espalier::train {
namespace {

/// The text as a TOML value: a number, a string, a list, a table; a bare word is a string.
toml::table value_table(const std::string& text) {
  try {
    return toml::parse("value = " + text);
  } catch (const toml::parse_error&) {
    toml::table table;
    table.insert_or_assign("value", text);
    return table;
  }
}

}  // namespace

void lay_over(toml::table& root, const std::string& set, ErrorList& errors) {
  const size_t equals = set.find('=');
  if (equals == std::string::npos || equals == 0) {
    errors.add("--set " + printable(set) + ": want KEY=VALUE, as in train.steps=100");
    return;
  }
  const std::vector<std::string> parts = split(set.substr(0, equals), '.');
  toml::node* at = &root;
  std::string trail;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string& part = parts[i];
    const bool last = i + 1 == parts.size();
    if (auto* array = at->as_array()) {
      size_t index = 0;
      const auto [end, fault] = std::from_chars(part.data(), part.data() + part.size(), index);
      if (fault != std::errc() || end != part.data() + part.size() || index >= array->size()) {
        errors.add("--set " + printable(set) + ": '" + trail + "' has " + std::to_string(array->size()) +
                   " rows, numbered from 0; '" + printable(part) + "' is none of them");
        return;
      }
      if (last)
        array->replace(array->cbegin() + static_cast<std::ptrdiff_t>(index), *value_table(set.substr(equals + 1)).get("value"));
      at = array->get(index);
    } else if (auto* table = at->as_table()) {
      if (part.empty()) {
        errors.add("--set " + printable(set) + ": the key has an empty part");
        return;
      }
      if (last)
        table->insert_or_assign(part, *value_table(set.substr(equals + 1)).get("value"));
      else if (table->get(part) == nullptr)
        table->insert_or_assign(part, toml::table{});
      at = table->get(part);
    } else {
      errors.add("--set " + printable(set) + ": '" + trail + "' holds a value, it has no '" + printable(part) + "'");
      return;
    }
    trail += (trail.empty() ? "" : ".") + part;
  }
}

}  // namespace espalier::train
