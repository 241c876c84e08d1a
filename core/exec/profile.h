#pragma once
// Where the time of one timed run went.

#include <span>
#include <string>

#include "core/lower/call_list.h"

namespace espalier::exec {

enum class ProfileBy { kOp, kKernel, kPath };

/// A table, largest first: calls, ms, share, GFLOP/s (matrix products, convolutions and attention: the figure that
/// papers give) and GB/s (operands read plus results written once, the least that any kernel could move).
/// `depth`: for kPath, how many parts of the block path make one row.
std::string profile_table(const lower::CallList& list, std::span<const double> call_ms, ProfileBy by, int depth = 4);

/// Chrome trace events ("X", microseconds, one per call, in the order of the run) and a counter track of the arena's
/// live bytes, as JSON that Perfetto and chrome://tracing open.
std::string chrome_trace(const lower::CallList& list, std::span<const double> call_ms);

}  // namespace espalier::exec
