#pragma once
// The same rows drawn by every model of a run.

#include <string>
#include <utility>
#include <vector>

#include "core/data/source.h"
#include "core/report/facts.h"
#include "core/train/write_run.h"

namespace espalier::report {

/// A model with its name on the page.
using NamedModels = std::vector<std::pair<std::string, const model::Model*>>;

/// Draws rows of the run's cache, held-out ones where there are any, and lays the cache's own pictures beside them.
///
/// Says why where there is nothing to draw: replayed batches, latents that no codec here decodes. A model whose answers are not
/// finite gets that as its column's fault. Errors: those of the cache; Interrupted.
PictureFacts draw_pictures(const train::FinishedRun& run, data::Source& source, const NamedModels& models);

}  // namespace espalier::report
