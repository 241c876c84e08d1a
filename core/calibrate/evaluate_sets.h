#pragma once
// Many sets of shut gates on one executable, with what they have in common computed once.

#include <functional>
#include <memory>
#include <vector>

#include "core/exec/executor.h"

namespace espalier::calibrate {

/// Calls of `list` that the value of each gate of input `gates` first matters to. Executors for evaluate_sets are cut there.
std::vector<size_t> first_calls(const lower::CallList& list, size_t gates);

/// Runs `executor` once for each of `sets` (gates that are zero, each ascending and none twice) and calls `done(set)` when the
/// outputs are those of it.
///
/// Sets are taken in the order of a tree over the gates: where two agree up to a call, that call is reached once, and what the
/// arena holds there is kept for the second. Guarantees: the outputs are bit for bit those of a run of its own. Snapshots take at
/// most `most_bytes`; beyond that, what is common is computed again. `gates` is the buffer bound to the input of that name in
/// `inputs`. Cost: for every unit by itself about half a run each.
void evaluate_sets(exec::Executor& executor, const std::vector<size_t>& first_calls, const std::vector<std::vector<size_t>>& sets,
                   std::vector<float>& gates, const std::vector<const void*>& inputs, const std::vector<void*>& outputs,
                   uint64_t most_bytes, const std::function<void(size_t set)>& done);

}  // namespace espalier::calibrate
