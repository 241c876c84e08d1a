#include "core/io/toml_json.h"

#include <nlohmann/json.hpp>
#include <sstream>

namespace espalier::io {

using Json = nlohmann::ordered_json;

Json json_of(const toml::node& node) {
  if (const toml::table* table = node.as_table()) {
    Json json = Json::object();
    for (const auto& [key, value] : *table) json[std::string(key.str())] = json_of(value);
    return json;
  }
  if (const toml::array* array = node.as_array()) {
    Json json = Json::array();
    for (const toml::node& value : *array) json.push_back(json_of(value));
    return json;
  }
  if (const auto* value = node.as_string()) return value->get();
  if (const auto* value = node.as_boolean()) return value->get();
  if (const auto* value = node.as_integer()) return value->get();
  if (const auto* value = node.as_floating_point()) return value->get();
  std::ostringstream text;  // a date or a time
  node.visit([&](const auto& value) {
    if constexpr (toml::is_value<decltype(value)>) text << value;
  });
  return text.str();
}

Json json_of_text(const std::string& text) { return json_of(*toml::parse("v = " + text).get("v")); }

}  // namespace espalier::io
