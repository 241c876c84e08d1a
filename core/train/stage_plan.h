#pragma once
// What a stage removes, and whether its gate is met.

#include <optional>
#include <string>

#include "core/prune/strategy.h"
#include "core/train/metrics.h"
#include "core/train/recipe.h"
#include "core/train/student.h"

namespace espalier::train {

/// What `pruner` removes from the student, as a plan on its own structure. `attempt` counts failed gates: each halves the units
/// that are removed: every second one of the strategy's order is still removed, down to none. A half that no config can say is
/// completed by another of the units, or the other half is taken.
/// Errors: those of the strategy and of plans.
prune::RemovalPlan stage_plan(prune::PruneStrategy& pruner, const Student& student, uint64_t seed, int64_t attempt);

/// "val/output below 0.02".
std::string gate_text(const Gate& gate);
bool meets(const Gate& gate, float value);
std::optional<float> find(const NamedNumbers& numbers, const std::string& key);
/// Throws UserError: which numbers there are (nearest).
[[noreturn]] void throw_no_metric(const Gate& gate, const NamedNumbers& numbers);

}  // namespace espalier::train
