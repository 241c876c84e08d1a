#pragma once
// What a call list keeps in its arena from before a call to after it.

#include <cstdint>
#include <vector>

#include "core/lower/call_list.h"

namespace espalier::exec {

struct ArenaRange {
  uint64_t offset = 0, bytes = 0;
  bool operator==(const ArenaRange&) const = default;
};

/// Ranges of the arena that calls [call, end) read and calls [0, call) wrote, by offset, none of them twice. Cost: linear in the
/// calls.
std::vector<ArenaRange> live_ranges(const lower::CallList& list, size_t call);

}  // namespace espalier::exec
