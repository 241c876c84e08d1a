#pragma once
// distill::LossStrategy over the C table of espalier/loss.h.

#include <memory>

#include "core/distill/loss.h"
#include "plugins/loader.h"

namespace espalier::plugins {

/// The pairs that a parameter of that kind asks for; not wanted where there is none.
distill::PairsRequest pairs_of(const ParamValues& params);
/// The one parameter that a loss as text has when it compares features.
const std::vector<ParamSpec>& text_loss_params();

/// One instance of the loss `component`. `params`: one value for each of its specs.
/// Errors: UserError or Error with the plugin's text when it cannot be made.
std::unique_ptr<distill::LossStrategy> make_loss(const Component& component, const ParamValues& params);

}  // namespace espalier::plugins
