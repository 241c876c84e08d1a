#pragma once
// Whether a stage's gate is met.

#include <optional>
#include <string>

#include "core/train/metrics.h"
#include "core/train/recipe.h"

namespace espalier::train {

/// "val/output below 0.02".
std::string gate_text(const Gate& gate);
bool meets(const Gate& gate, float value);
std::optional<float> find(const NamedNumbers& numbers, const std::string& key);
/// Throws UserError: which numbers there are (nearest).
[[noreturn]] void throw_no_metric(const Gate& gate, const NamedNumbers& numbers);

}  // namespace espalier::train
