#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/text.h"
#include "core/distill/feature_pairs.h"
#include "plugins/host.h"
#include "plugins/params.h"

namespace espalier::plugins {
namespace {

constexpr uint64_t kMaxChoices = 1024, kMaxText = 65536;

bool is_name(const std::string& text) {
  const auto ok = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
  return !text.empty() && text.size() <= 64 && text[0] >= 'a' && text[0] <= 'z' && std::all_of(text.begin(), text.end(), ok);
}

std::string fault_of(const esp_param_spec& raw, const ParamSpec& spec) {
  if (spec.doc.empty()) return "has no doc";
  if ((raw.flags & ~uint32_t{ESP_PARAM_REQUIRED}) != 0) return fmt::format("has unknown flags {:#x}", raw.flags);
  switch (spec.kind) {
    case ESP_PARAM_BOOL:
      if (spec.default_int != 0 && spec.default_int != 1) return fmt::format("default {} is neither 0 nor 1", spec.default_int);
      return "";
    case ESP_PARAM_INT:
      if (spec.min_int > spec.max_int) return fmt::format("minimum {} is over maximum {}", spec.min_int, spec.max_int);
      if (!spec.required && (spec.default_int < spec.min_int || spec.default_int > spec.max_int))
        return fmt::format("default {} is outside {}…{}", spec.default_int, spec.min_int, spec.max_int);
      return "";
    case ESP_PARAM_FLOAT:
      if (std::isnan(spec.min_float) || std::isnan(spec.max_float) || spec.min_float > spec.max_float)
        return fmt::format("minimum {} is over maximum {}", spec.min_float, spec.max_float);
      if (!spec.required && !(spec.default_float >= spec.min_float && spec.default_float <= spec.max_float))
        return fmt::format("default {} is outside {}…{}", spec.default_float, spec.min_float, spec.max_float);
      return "";
    case ESP_PARAM_STRING:
    case ESP_PARAM_GLOBS:
      return "";
    case ESP_PARAM_PAIRS:
      if (!is_granularity(spec.default_string)) return "default '" + spec.default_string + "' is no granularity";
      return "";
    case ESP_PARAM_CHOICE:
      if (spec.choices.empty()) return "is a choice without choices";
      if (!spec.required && std::find(spec.choices.begin(), spec.choices.end(), spec.default_string) == spec.choices.end())
        return "default '" + spec.default_string + "' is not one of its choices";
      return "";
    default:
      return fmt::format("has unknown kind {}", spec.kind);
  }
}

}  // namespace

std::vector<ParamSpec> read_specs(std::span<const esp_param_spec> specs, ErrorList& errors) {
  std::vector<ParamSpec> out;
  for (size_t i = 0; i < specs.size(); ++i) {
    const esp_param_spec& raw = specs[i];
    if (raw.struct_size != sizeof(esp_param_spec)) {
      errors.add(fmt::format("parameter {}: struct size is {}, this host has {}", i, raw.struct_size, sizeof(esp_param_spec)));
      return out;  // the next one does not stand where the array says
    }
    if (raw.name.size > kMaxText || raw.doc.size > kMaxText || raw.default_string.size > kMaxText) {
      errors.add(fmt::format("parameter {}: a text of it has over {} bytes", i, kMaxText));
      continue;
    }
    ParamSpec spec{raw.kind,
                   std::string(view(raw.name)),
                   std::string(view(raw.doc)),
                   (raw.flags & ESP_PARAM_REQUIRED) != 0,
                   raw.default_int,
                   raw.min_int,
                   raw.max_int,
                   raw.default_float,
                   raw.min_float,
                   raw.max_float,
                   std::string(view(raw.default_string)),
                   {}};
    if (!is_name(spec.name)) {
      errors.add(fmt::format("parameter {}: '{}' is not a name (a-z, 0-9, '_', '-', a letter first)", i, printable(spec.name)));
      continue;
    }
    if (spec.name == "use" || spec.name == "plugin") errors.add("parameter '" + spec.name + "': this name belongs to the host");
    if (std::any_of(out.begin(), out.end(), [&](const ParamSpec& other) { return other.name == spec.name; }))
      errors.add("parameter '" + spec.name + "' is declared twice");
    if (raw.choice_count > kMaxChoices || (raw.choice_count > 0 && raw.choices == nullptr))
      errors.add(
          fmt::format("parameter '{}': {} choices at {}", spec.name, raw.choice_count, raw.choices == nullptr ? "null" : "once"));
    else
      for (uint64_t c = 0; c < raw.choice_count; ++c) spec.choices.emplace_back(view(raw.choices[c]));
    if (const std::string fault = fault_of(raw, spec); !fault.empty()) errors.add("parameter '" + spec.name + "' " + fault);
    out.push_back(std::move(spec));
  }
  return out;
}

std::string kind_text(const ParamSpec& spec) {
  switch (spec.kind) {
    case ESP_PARAM_BOOL:
      return "true or false";
    case ESP_PARAM_INT:
      return "integer";
    case ESP_PARAM_FLOAT:
      return "number";
    case ESP_PARAM_STRING:
      return "text";
    case ESP_PARAM_CHOICE:
      return "choice";
    case ESP_PARAM_GLOBS:
      return "list of globs";
    case ESP_PARAM_PAIRS:
      return "granularity or list of pairs";
    default:
      return "unknown";
  }
}

bool is_granularity(std::string_view text) {
  const std::vector<std::string>& known = distill::granularities();
  return std::find(known.begin(), known.end(), text) != known.end();
}

std::string range_text(const ParamSpec& spec) {
  if (spec.kind == ESP_PARAM_PAIRS) return join(distill::granularities(), " | ") + " | [{teacher = PATH, student = PATH}, …]";
  if (spec.kind == ESP_PARAM_CHOICE) return join(spec.choices, " | ");
  const auto bounds = [](auto low, auto high, bool has_low, bool has_high) {
    if (has_low && has_high) return fmt::format("{} to {}", low, high);
    if (has_low) return fmt::format("{} or more", low);
    return has_high ? fmt::format("{} or less", high) : std::string();
  };
  using Int = std::numeric_limits<int64_t>;
  if (spec.kind == ESP_PARAM_INT)
    return bounds(spec.min_int, spec.max_int, spec.min_int != Int::min(), spec.max_int != Int::max());
  using Float = std::numeric_limits<double>;
  if (spec.kind == ESP_PARAM_FLOAT)
    return bounds(spec.min_float, spec.max_float, spec.min_float > Float::lowest(), spec.max_float < Float::max());
  return "";
}

std::string default_text(const ParamSpec& spec) {
  if (spec.required) return "required";
  switch (spec.kind) {
    case ESP_PARAM_BOOL:
      return spec.default_int != 0 ? "true" : "false";
    case ESP_PARAM_INT:
      return fmt::format("{}", spec.default_int);
    case ESP_PARAM_FLOAT:
      return fmt::format("{}", spec.default_float);
    case ESP_PARAM_GLOBS:
      return spec.default_string.empty() ? "[]" : "[\"" + spec.default_string + "\"]";
    default:
      return spec.default_string.empty() ? "\"\"" : spec.default_string;
  }
}

}  // namespace espalier::plugins
