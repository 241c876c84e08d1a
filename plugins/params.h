#pragma once
// Parameters of a component: the declared specs as the host keeps them, and values checked against them.

#include <espalier/plugin.h>

#include <deque>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/io/toml.h"

namespace espalier::plugins {

/// One declared parameter, copied out of the plugin and checked.
struct ParamSpec {
  int32_t kind = 0;  // ESP_PARAM_*
  std::string name, doc;
  bool required = false;
  int64_t default_int = 0, min_int = 0, max_int = 0;
  double default_float = 0, min_float = 0, max_float = 0;
  std::string default_string;
  std::vector<std::string> choices;
};

/// Copies and checks the specs of one component. Faults ("parameter 'x': default 5 is outside 0…4") go to `errors`.
std::vector<ParamSpec> read_specs(std::span<const esp_param_spec> specs, ErrorList& errors);

/// Whether a parameter of pairs may name this granularity.
bool is_granularity(std::string_view text);
std::string kind_text(const ParamSpec& spec);     // "integer", "choice", "list of globs"
std::string range_text(const ParamSpec& spec);    // "0…64", "first-k | evenly-spaced", ""
std::string default_text(const ParamSpec& spec);  // "0.4", "required"

/// Values for every spec, in order, as the ABI hands them to a plugin. Owns the strings.
class ParamValues {
 public:
  ParamValues() = default;
  ParamValues(const ParamValues&) = delete;
  ParamValues& operator=(const ParamValues&) = delete;
  ParamValues(ParamValues&&) = default;
  ParamValues& operator=(ParamValues&&) = default;
  std::span<const esp_param_value> values() const { return values_; }

 private:
  friend class ParamReader;
  std::vector<esp_param_value> values_;
  std::deque<std::string> strings_;  // deque: addresses stay when it grows or moves
  std::deque<std::vector<esp_str>> lists_;
};

/// What the user gave: a TOML table, or `--set k=v` texts, or both (a --set wins over the table).
struct ParamInput {
  const toml::table* table = nullptr;
  std::string file;                    // of the table, for places
  std::vector<std::string> host_keys;  // keys of the table that are not the component's
  std::vector<std::string> sets;       // "key=value"; a list parameter may be given several times or as [a, b]
};

/// Checks `input` against `specs` and fills in defaults. Every fault goes to `errors` at once with its place: unknown key
/// (nearest), wrong type, out of range, not a choice, missing, given twice. `who` is the component's id.
ParamValues resolve_params(const std::vector<ParamSpec>& specs, const ParamInput& input, const std::string& who,
                           ErrorList& errors);

}  // namespace espalier::plugins
