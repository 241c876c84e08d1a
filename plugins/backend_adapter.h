#pragma once
// lower::Backend over the C table of espalier/backend.h.

#include <memory>

#include "core/lower/backend.h"
#include "plugins/loader.h"

namespace espalier::plugins {

/// Opens a device of the backend `component`: the one with this name or index, by default the first that can run anything.
/// `params`: one value for each of its specs.
/// Errors: UserError when there is no such device, with the backend's reason or the devices that there are; Error with the
/// plugin's text when it cannot be opened.
std::shared_ptr<lower::Backend> open_backend(const Component& component, const ParamValues& params, const std::string& name = {});

}  // namespace espalier::plugins
