#pragma once
// Milliseconds of a forward pass.

#include <cstdint>
#include <vector>

#include "core/data/source.h"
#include "core/inspect/session.h"

namespace espalier::report {

struct ForwardTime {
  double median_ms = 0, most_ms = 0;
  int64_t forwards = 0;
};

/// Times `models` on one batch in turns, A B A B, so that what else the machine does falls on all of them: after one forward
/// each that is not counted, seven of each, or as many as half a minute holds but at least one.
/// Errors: those of open_session and run_named; Interrupted.
std::vector<ForwardTime> measure_forward(const std::vector<const model::Model*>& models, const data::Batch& batch,
                                         const inspect::SessionOptions& session);

}  // namespace espalier::report
