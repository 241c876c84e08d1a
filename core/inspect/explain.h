#pragma once
// Why a graph runs as it does: chosen kernels, refusals, work, memory.

#include <string>

#include "core/lower/call_list.h"

namespace espalier::inspect {

struct ExplainOptions {
  bool expand = false;  // one group per call instead of one per (op, shapes, attributes, kernel)
};

/// The calls of a lowered graph as text, heaviest first: equal calls (op, types, attributes, kernel) in one group with
/// their count, kernel, refusals with reasons, workspace, FLOPs and bytes; then a table by kernel, and the arena's peak
/// with the values that are live there, by block path.
///
/// Cost: linear in calls.
std::string explain(const lower::CallList& list, const ExplainOptions& options = {});

/// "arena 312.50 MiB, fullest at down_blocks.0.resnets.1 (conv2d)": what one run needs besides weights, inputs and outputs.
std::string memory_line(const lower::CallList& list);

}  // namespace espalier::inspect
