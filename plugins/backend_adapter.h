#pragma once
// lower::Backend over the C table of espalier/backend.h.

#include <memory>

#include "core/lower/backend.h"
#include "plugins/loader.h"

namespace espalier::plugins {

/// Opens device `index` of the backend `component`. `params`: one value for each of its specs.
/// Errors: UserError when there is no such device; Error with the plugin's text when it cannot be opened.
std::shared_ptr<lower::Backend> open_backend(const Component& component, const ParamValues& params, uint64_t index = 0);

}  // namespace espalier::plugins
