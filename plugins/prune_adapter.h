#pragma once
// prune::PruneStrategy over the C table of espalier/prune.h.

#include <memory>

#include "core/prune/strategy.h"
#include "plugins/loader.h"

namespace espalier::plugins {

/// One instance of the pruner `component`. `params`: one value for each of its specs.
/// Errors: UserError or Error with the plugin's text when it cannot be made.
std::unique_ptr<prune::PruneStrategy> make_pruner(const Component& component, const ParamValues& params);

}  // namespace espalier::plugins
