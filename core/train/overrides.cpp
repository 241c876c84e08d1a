#include "core/train/overrides.h"

#include <algorithm>
#include <charconv>
#include <optional>

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

/// Where the quoted part of a key that begins at `begin` has its closing quote; npos where it has none.
size_t closing_quote(const std::string& path, size_t begin) {
  for (size_t i = begin + 1; i < path.size(); ++i) {
    if (path[i] == path[begin]) return i;
    if (path[begin] == '"' && path[i] == '\\') ++i;
  }
  return std::string::npos;
}

bool is_quote(char c) { return c == '"' || c == '\''; }

/// The parts of a dotted key. As in TOML a part may stand in quotes: `loss.0.weights."feature/up_blocks.*"` has four.
/// Nothing, and why in `fault`, where quotes are not as TOML has them.
std::optional<std::vector<std::string>> key_parts(const std::string& path, std::string& fault) {
  std::vector<std::string> parts;
  for (size_t at = 0;;) {
    size_t end = path.size();
    if (at < path.size() && is_quote(path[at])) {
      const size_t last = closing_quote(path, at);
      end = last == std::string::npos ? last : last + 1;
      if (end == std::string::npos || (end < path.size() && path[end] != '.')) {
        fault =
            end == std::string::npos ? "the key has a quote that is not closed" : "a quote in the key must enclose a whole part";
        return std::nullopt;
      }
      try {
        parts.emplace_back(toml::parse(path.substr(at, end - at) + " = 0").begin()->first.str());
      } catch (const toml::parse_error& error) {
        fault = "the quoted part of the key is no TOML: " + std::string(error.description());
        return std::nullopt;
      }
    } else {
      end = std::min(path.find('.', at), path.size());
      parts.push_back(path.substr(at, end - at));
    }
    if (end == path.size()) return parts;
    at = end + 1;
  }
}

/// The first '=' outside quotes.
size_t equals_of(const std::string& set) {
  for (size_t i = 0; i < set.size(); ++i) {
    if (set[i] == '=') return i;
    const bool begins_part = i == 0 || set[i - 1] == '.';
    if (!begins_part || !is_quote(set[i])) continue;
    i = closing_quote(set, i);
    if (i == std::string::npos) break;
  }
  return set.find('=');  // of a quote that is not closed: reported as that
}

}  // namespace

void lay_over(toml::table& root, const std::string& set, ErrorList& errors) {
  const size_t equals = equals_of(set);
  const std::string place = "--set " + printable(set);
  if (equals == std::string::npos || equals == 0) return errors.add(place + ": want KEY=VALUE, as in train.steps=100");
  toml::table table = value_table(set.substr(equals + 1), place);
  lay_over(root, set.substr(0, equals), std::move(*table.get("value")), place, errors);
}

void lay_over(toml::table& root, const std::string& path, toml::node&& value, const std::string& place, ErrorList& errors) {
  std::string fault_of_key;
  const std::optional<std::vector<std::string>> read = key_parts(path, fault_of_key);
  if (!read) return errors.add(place + ": " + fault_of_key);
  const std::vector<std::string>& parts = *read;
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
      if (last) {
        array->replace(array->cbegin() + static_cast<std::ptrdiff_t>(index), std::move(value));
        return;
      }
      at = array->get(index);
    } else if (auto* table = at->as_table()) {
      if (part.empty()) {
        errors.add(place + ": the key has an empty part");
        return;
      }
      if (last) {
        table->insert_or_assign(part, std::move(value));
        return;
      }
      if (table->get(part) == nullptr) table->insert_or_assign(part, toml::table{});
      at = table->get(part);
    } else {
      errors.add(place + ": '" + trail + "' holds a value, it has no '" + printable(part) + "'");
      return;
    }
    trail += (trail.empty() ? "" : ".") + part;
  }
}

}  // namespace espalier::train
