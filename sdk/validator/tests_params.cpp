// Parameters: every value that is declared is taken, or refused with a reason.

#include <clocale>

#include "core/base/rng.h"
#include "core/base/text.h"
#include "plugins/host.h"
#include "sdk/validator/tests.h"

namespace espalier::validator {
namespace {

using plugins::ParamSpec;

std::string number_text(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.17g", value);
  std::string out = text;
  return out.find_first_of(".e") == std::string::npos ? out + ".0" : out;
}

/// The least and the greatest value that a number may have, every choice, both truths.
std::vector<std::string> edges_of(const ParamSpec& spec) {
  std::vector<std::string> edges;
  if (spec.kind == ESP_PARAM_INT) edges = {std::to_string(spec.min_int), std::to_string(spec.max_int)};
  if (spec.kind == ESP_PARAM_FLOAT) edges = {number_text(spec.min_float), number_text(spec.max_float)};
  if (spec.kind == ESP_PARAM_BOOL) edges = {"true", "false"};
  if (spec.kind == ESP_PARAM_CHOICE) edges = spec.choices;
  for (std::string& edge : edges) edge = spec.name + "=" + edge;
  return edges;
}

void defaults(const Subject& subject) {
  if (const std::string refusal = exercise(*subject.component, {}, subject.seed); !refusal.empty())
    warn("it refuses the validator's " + std::string(subject.component->kind == "esp.prune/1" ? "model" : "batch") +
         " with its defaults: " + refusal);
}

void edges(const Subject& subject) {
  for (const ParamSpec& spec : subject.component->params)
    for (const std::string& edge : edges_of(spec)) exercise(*subject.component, {edge}, subject.seed);
}

std::vector<std::string> drawn(const plugins::Component& component, uint64_t seed, uint64_t draw) {
  std::vector<std::string> sets;
  for (size_t i = 0; i < component.params.size(); ++i)
    if (const std::string set = random_set(component.params[i], seed, draw * 64 + i); !set.empty()) sets.push_back(set);
  return sets;
}

void random_values(const Subject& subject) {
  constexpr uint64_t kDraws = 8;
  for (uint64_t draw = 0; draw < kDraws && !subject.component->params.empty(); ++draw)
    exercise(*subject.component, drawn(*subject.component, subject.seed, draw), subject.seed + draw);
}

void comma_decimals(const Subject& subject) {
  for (const char* locale : {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8"})
    if (std::setlocale(LC_ALL, locale) != nullptr) {
      exercise(*subject.component, {}, subject.seed);
      return;
    }
  skip("this machine has no locale with a decimal comma");
}

}  // namespace

plugins::ParamValues values_of(const plugins::Component& component, const std::vector<std::string>& sets) {
  plugins::ParamInput input;
  for (const ParamSpec& spec : component.params) {
    const bool given =
        std::any_of(sets.begin(), sets.end(), [&](const std::string& set) { return set.rfind(spec.name + "=", 0) == 0; });
    if (!spec.required || given) continue;
    const std::vector<std::string> edges = edges_of(spec);
    input.sets.push_back(edges.empty() ? spec.name + "=*" : edges.front());
  }
  input.sets.insert(input.sets.end(), sets.begin(), sets.end());
  ErrorList errors;
  plugins::ParamValues values = plugins::resolve_params(component.params, input, component.id, errors);
  errors.throw_if_any();
  return values;
}

std::string random_set(const ParamSpec& spec, uint64_t seed, uint64_t draw) {
  const uint64_t bits = rng::bits(seed, 77, draw);
  const double share = rng::uniform(seed, 78, draw);
  switch (spec.kind) {
    case ESP_PARAM_BOOL:
      return spec.name + (bits % 2 == 0 ? "=true" : "=false");
    case ESP_PARAM_INT: {
      const auto range = static_cast<double>(spec.max_int) - static_cast<double>(spec.min_int);
      const auto value = static_cast<double>(spec.min_int) + share * std::min(range, 1e6);
      return spec.name + "=" + std::to_string(static_cast<int64_t>(value));
    }
    case ESP_PARAM_FLOAT: {
      const double low = std::max(spec.min_float, -1e9), high = std::min(spec.max_float, 1e9);
      return spec.name + "=" + number_text(low + share * (high - low));
    }
    case ESP_PARAM_CHOICE:
      return spec.name + "=" + spec.choices[bits % spec.choices.size()];
    default:
      return "";
  }
}

std::vector<Test> param_tests() {
  return {
      {"ESP-P01", "it works with the defaults", Needs::kComponent, "", defaults},
      {"ESP-P02", "the least, the greatest and every choice are taken or refused with a reason", Needs::kComponent, "", edges},
      {"ESP-P03", "random values are taken or refused with a reason", Needs::kComponent, "", random_values},
      {"ESP-P04", "a decimal comma in the locale changes nothing", Needs::kComponent, "", comma_decimals}};
}

}  // namespace espalier::validator
