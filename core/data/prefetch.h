#pragma once
// Batches made ahead of time on one thread.

#include <memory>

#include "core/data/source.h"

namespace espalier::data {

/// `source` with up to `depth` batches ready before they are asked for, made in the order of steps.
///
/// Guarantees: the same batches bit for bit. Asked for another step than the next, it starts over from there. What `source`
/// throws, the call of `batch` with that step throws. Destroying it stops the thread after the batch in work.
std::unique_ptr<Source> prefetch(std::unique_ptr<Source> source, int depth);

}  // namespace espalier::data
