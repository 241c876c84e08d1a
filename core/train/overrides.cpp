#include "core/train/overrides.h"

#include <charconv>

#include "core/base/text.h"

namespace espalier::train {
namespace {

/// The text as a TOML value: a number, a string, a list, a table; a bare word is a string. `name` is its place in messages.
toml::table value_table(const std::string& text, const std::string& name) {
  try {
    return toml::parse("value = " + text, name);
  } catch (const toml::parse_error&) {
    std::string quoted;
    for (char c : text) quoted += c == '"' || c == '\\' ? std::string{'\\', c} : std::string{c};
    try {
      return toml::parse("value = \"" + quoted + "\"", name);
    } catch (const toml::parse_error&) {  // control characters
      toml::table table;
      table.insert_or_assign("value", text);
      return table;
    }
  }
}

}  // namespace

void lay_over(toml::table& root, const std::string& set, ErrorList& errors) {
  const size_t equals = set.find('=');
  const std::string place = "--set " + printable(set);
  if (equals == std::string::npos || equals == 0) return errors.add(place + ": want KEY=VALUE, as in train.steps=100");
  lay_over(root, set.substr(0, equals), *value_table(set.substr(equals + 1), place).get("value"), place, errors);
}

void lay_over(toml::table& root, const std::string& path, const toml::node& value, const std::string& place, ErrorList& errors) {
  const std::vector<std::string> parts = split(path, '.');
  toml::node* at = &root;
  std::string trail;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string& part = parts[i];
    const bool last = i + 1 == parts.size();
    if (auto* array = at->as_array()) {
      size_t index = 0;
      const auto [end, fault] = std::from_chars(part.data(), part.data() + part.size(), index);
      if (fault != std::errc() || end != part.data() + part.size() || index >= array->size()) {
        errors.add(place + ": '" + trail + "' has " + std::to_string(array->size()) + " rows, numbered from 0; '" +
                   printable(part) + "' is none of them");
        return;
      }
      if (last) array->replace(array->cbegin() + static_cast<std::ptrdiff_t>(index), value);
      at = array->get(index);
    } else if (auto* table = at->as_table()) {
      if (part.empty()) {
        errors.add(place + ": the key has an empty part");
        return;
      }
      if (last)
        table->insert_or_assign(part, value);
      else if (table->get(part) == nullptr)
        table->insert_or_assign(part, toml::table{});
      at = table->get(part);
    } else {
      errors.add(place + ": '" + trail + "' holds a value, it has no '" + printable(part) + "'");
      return;
    }
    trail += (trail.empty() ? "" : ".") + part;
  }
}

}  // namespace espalier::train
