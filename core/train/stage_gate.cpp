#include "core/train/stage_gate.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/text.h"

namespace espalier::train {

std::string gate_text(const Gate& gate) {
  return gate.below ? fmt::format("{} below {}", gate.metric, *gate.below) : fmt::format("{} above {}", gate.metric, *gate.above);
}

bool meets(const Gate& gate, float value) { return gate.below ? value < *gate.below : value > *gate.above; }

std::optional<float> find(const NamedNumbers& numbers, const std::string& key) {
  for (const auto& [name, number] : numbers)
    if (name == key) return number;
  return std::nullopt;
}

void throw_no_metric(const Gate& gate, const NamedNumbers& numbers) {
  std::vector<std::string> keys;
  for (const auto& [name, number] : numbers) keys.push_back(name);
  const bool held_out = gate.metric.rfind("val/", 0) == 0;
  std::string text = "[until] there is no metric '" + printable(gate.metric) + "'" + did_you_mean(gate.metric, keys);
  if (held_out) text += "; val/ metrics need [data] validation_rows";
  throw UserError(text);
}

}  // namespace espalier::train
