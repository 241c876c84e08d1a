#include "plugins/params.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>

#include "core/base/text.h"
#include "plugins/host.h"

namespace espalier::plugins {

// Checks one component's input. Texts of --set are read as TOML values first, so both carriers have one set of rules.
class ParamReader {
 public:
  ParamReader(const std::vector<ParamSpec>& specs, const ParamInput& input, const std::string& who, ErrorList& errors)
      : specs_(specs), input_(input), who_(who), errors_(errors) {
    for (const ParamSpec& spec : specs) names_.push_back(spec.name);
  }

  ParamValues read() {
    if (input_.table != nullptr) read_table();
    for (const std::string& text : input_.sets) read_set(text);
    ParamValues out;
    for (const ParamSpec& spec : specs_) {
      esp_param_value value{};
      value.kind = spec.kind;
      const auto given = given_.find(spec.name);
      value.is_set = given != given_.end();
      if (given != given_.end())
        store(spec, given->second, value, out);
      else if (spec.required)
        errors_.add(where_missing() + "parameter '" + spec.name + "' of " + who_ + " is required (" + spec.doc + ")");
      else
        store_default(spec, value, out);
      out.values_.push_back(value);
    }
    return out;
  }

 private:
  struct Given {
    std::string place;
    std::vector<std::string> texts;  // of --set; empty when it came from the table
    const toml::node* node = nullptr;
  };

  std::string where_missing() const {
    return input_.table == nullptr ? "--set: " : io::place_of(*input_.table, input_.file) + ": ";
  }

  const ParamSpec* find(std::string_view name) const {
    for (const ParamSpec& spec : specs_)
      if (spec.name == name) return &spec;
    return nullptr;
  }

  void unknown(const std::string& place, const std::string& key) {
    std::vector<std::string> known = names_;
    known.insert(known.end(), input_.host_keys.begin(), input_.host_keys.end());
    const std::string hint = did_you_mean(key, known);
    errors_.add(place + ": " + who_ + " has no parameter '" + printable(key) + "'" +
                (!hint.empty()    ? hint
                 : names_.empty() ? "; it has none"
                                  : "; it has " + join(names_, ", ")));
  }

  void read_table() {
    for (const auto& [key, node] : *input_.table) {
      const std::string name(key.str());
      if (std::find(input_.host_keys.begin(), input_.host_keys.end(), name) != input_.host_keys.end()) continue;
      const std::string place = io::place_of(node, input_.file);
      if (find(name) == nullptr)
        unknown(place, name);
      else
        given_[name] = {place, {}, &node};
    }
  }

  void read_set(const std::string& text) {
    const std::string place = "--set " + printable(text);
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      errors_.add(place + ": want key=value");
      return;
    }
    const std::string name = text.substr(0, equals);
    const ParamSpec* spec = find(name);
    if (spec == nullptr) {
      unknown(place, name);
      return;
    }
    Given& given = given_[name];
    if (given.node != nullptr) given = {};  // the command line wins over the file
    if (!given.texts.empty() && spec->kind != ESP_PARAM_GLOBS) {
      errors_.add(place + ": '" + name + "' is given twice");
      return;
    }
    given.place = place;
    given.texts.push_back(text.substr(equals + 1));
  }

  void wrong(const ParamSpec& spec, const Given& given, const std::string& got) {
    const std::string range = range_text(spec);
    errors_.add(given.place + ": '" + spec.name + "' wants " + kind_text(spec) + (range.empty() ? "" : " (" + range + ")") +
                ", got " + got);
  }

  static std::string text_of(const toml::node& node) {
    std::ostringstream out;
    node.visit([&](const auto& value) { out << value; });
    return printable(out.str());
  }

  // A --set text as TOML; nothing when it is not a TOML value. The table keeps the node alive.
  const toml::node* as_toml(const std::string& text) {
    try {
      parsed_.push_back(io::parse_toml("value = " + text, "--set"));
      return parsed_.back().size() == 1 ? parsed_.back().get("value") : nullptr;
    } catch (const UserError&) {
      return nullptr;
    }
  }

  void store(const ParamSpec& spec, const Given& given, esp_param_value& value, ParamValues& out) {
    if (spec.kind == ESP_PARAM_GLOBS) return store_list(spec, given, value, out);
    if (spec.kind == ESP_PARAM_PAIRS) return store_pairs(spec, given, value, out);
    const bool is_text = spec.kind == ESP_PARAM_STRING || spec.kind == ESP_PARAM_CHOICE;
    if (!given.texts.empty() && is_text) return store_text(spec, given, given.texts[0], value, out);
    const toml::node* node = given.node != nullptr ? given.node : as_toml(given.texts[0]);
    const std::string got = given.node != nullptr ? text_of(*given.node) : "'" + printable(given.texts[0]) + "'";
    if (node == nullptr) return wrong(spec, given, got);
    switch (spec.kind) {
      case ESP_PARAM_BOOL:
        if (!node->is_boolean()) return wrong(spec, given, got);
        value.int_value = node->as_boolean()->get() ? 1 : 0;
        return;
      case ESP_PARAM_INT:
        if (!node->is_integer()) return wrong(spec, given, got);
        value.int_value = node->as_integer()->get();
        if (value.int_value < spec.min_int || value.int_value > spec.max_int) wrong(spec, given, got);
        return;
      case ESP_PARAM_FLOAT:
        if (!node->is_number()) return wrong(spec, given, got);
        value.float_value =
            node->is_integer() ? static_cast<double>(node->as_integer()->get()) : node->as_floating_point()->get();
        if (!(value.float_value >= spec.min_float && value.float_value <= spec.max_float) || !std::isfinite(value.float_value))
          wrong(spec, given, got);
        return;
      default:
        if (!node->is_string()) return wrong(spec, given, got);
        return store_text(spec, given, node->as_string()->get(), value, out);
    }
  }

  void store_text(const ParamSpec& spec, const Given& given, const std::string& text, esp_param_value& value, ParamValues& out) {
    if (spec.kind == ESP_PARAM_CHOICE && std::find(spec.choices.begin(), spec.choices.end(), text) == spec.choices.end())
      return wrong(spec, given, "'" + printable(text) + "'" + did_you_mean(text, spec.choices));
    value.string_value = keep(text, out);
  }

  void store_list(const ParamSpec& spec, const Given& given, esp_param_value& value, ParamValues& out) {
    std::vector<std::string> texts;
    const auto add_array = [&](const toml::node& node) {
      if (!node.is_array()) return false;
      for (const toml::node& element : *node.as_array()) {
        if (!element.is_string()) return false;
        texts.push_back(element.as_string()->get());
      }
      return true;
    };
    bool ok = true;
    if (given.node != nullptr) ok = add_array(*given.node);
    for (const std::string& text : given.texts) {
      const toml::node* list = !text.empty() && text[0] == '[' ? as_toml(text) : nullptr;
      if (list != nullptr)
        ok = ok && add_array(*list);
      else
        texts.push_back(text);
    }
    if (!ok)
      return wrong(spec, given, given.node != nullptr ? text_of(*given.node) : "'" + printable(join(given.texts, " ")) + "'");
    store_strings(texts, value, out);
  }

  void store_pairs(const ParamSpec& spec, const Given& given, esp_param_value& value, ParamValues& out) {
    const toml::node* node = given.node;
    if (node == nullptr && given.texts[0].starts_with('[')) node = as_toml(given.texts[0]);
    const std::string text = node == nullptr ? (given.texts.empty() ? "" : given.texts[0]) : node->value_or(std::string());
    if (is_granularity(text)) {
      value.string_value = keep(text, out);
      return;
    }
    std::vector<std::string> paths;
    bool ok = node != nullptr && node->is_array() && !node->as_array()->empty();
    if (ok)
      for (const toml::node& element : *node->as_array()) {
        const toml::table* pair = element.as_table();
        ok = ok && pair != nullptr && pair->size() == 2 && (*pair)["teacher"].is_string() && (*pair)["student"].is_string();
        if (!ok) break;
        paths.push_back(*(*pair)["teacher"].value<std::string>());
        paths.push_back(*(*pair)["student"].value<std::string>());
      }
    if (!ok) return wrong(spec, given, node != nullptr ? text_of(*node) : "'" + printable(text) + "'");
    store_strings(paths, value, out);
  }

  static esp_str keep(const std::string& text, ParamValues& out) {
    out.strings_.push_back(text);
    return to_esp(out.strings_.back());
  }

  static void store_strings(const std::vector<std::string>& texts, esp_param_value& value, ParamValues& out) {
    std::vector<esp_str>& list = out.lists_.emplace_back();
    for (const std::string& text : texts) list.push_back(keep(text, out));
    value.strings = list.data();
    value.string_count = list.size();
  }

  static void store_default(const ParamSpec& spec, esp_param_value& value, ParamValues& out) {
    value.int_value = spec.default_int;
    value.float_value = spec.default_float;
    if (spec.kind == ESP_PARAM_GLOBS)
      store_strings(spec.default_string.empty() ? std::vector<std::string>{} : std::vector{spec.default_string}, value, out);
    else
      value.string_value = keep(spec.default_string, out);
  }

  const std::vector<ParamSpec>& specs_;
  const ParamInput& input_;
  const std::string& who_;
  ErrorList& errors_;
  std::vector<std::string> names_;
  std::map<std::string, Given> given_;
  std::deque<toml::table> parsed_;
};

ParamValues resolve_params(const std::vector<ParamSpec>& specs, const ParamInput& input, const std::string& who,
                           ErrorList& errors) {
  return ParamReader(specs, input, who, errors).read();
}

}  // namespace espalier::plugins
