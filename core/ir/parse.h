#pragma once
// Reads graphs from their text (print.h shows the form).

#include <string>
#include <string_view>
#include <vector>

#include "core/ir/graph.h"
#include "core/ir/op_def.h"

namespace espalier {

/// Every graph of `text`. Types stand on every result and are checked against those that the ops infer; what an op's
/// contract refuses is refused here with its place.
///
/// Errors: UserError with one line `file:line:column: what` per fault, up to 50 at once, in the order of the text;
/// unknown ops, attributes and values come with the nearest known names.
/// Cost: linear in the text.
std::vector<Graph> parse_all(std::string_view text, const OpLookup& ops, std::string_view file = "<text>");

/// As `parse_all`, for text that must hold exactly one graph.
Graph parse(std::string_view text, const OpLookup& ops, std::string_view file = "<text>");

}  // namespace espalier
