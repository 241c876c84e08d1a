#pragma once
// Candidates are tried in another process first: one that crashes, hangs or ends its process there is reported, and is never
// loaded here.

#include <string>
#include <vector>

#include "plugins/search.h"

namespace espalier::plugins {

struct ScanLimits {
  int seconds = 20;                            // for each file
  uint64_t memory_bytes = uint64_t{16} << 30;  // of address space
};

/// What became of each candidate: "" when it was loaded, examined and initialised there, else why it must not be loaded here:
/// "crashed when it was loaded: signal 11 (Segmentation fault)", "did not come to an end in 20 s", "ended its process (exit code
/// 0)". A file that is refused in an orderly way gives "" as well: this process comes to the same verdict.
///
/// The other process is a fork of this one, whose output goes nowhere: to be called before this process has threads that may hold
/// locks of the system's loader. Errors: Error when no process can be started. Cost: each file is loaded once more.
std::vector<std::string> scan(const std::vector<Candidate>& candidates, const ScanLimits& limits = {});

}  // namespace espalier::plugins
