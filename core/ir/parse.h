#pragma once
// Reads graphs from their text (print.h shows the form).

#include <map>
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

/// One graph in text without types, for inputs of any shape: `graph @name(%a, %b) { %c = sub %a, %b … return %c }`. Inputs are
/// some of those in `inputs`, by name; what ops make follows from them; a constant of one number is an f32 scalar. An output has
/// the name of its value. Errors: as parse_all.
Graph parse_untyped(std::string_view text, const OpLookup& ops, const std::map<std::string, TensorType>& inputs,
                    std::string_view file = "<text>");

/// As `parse_all`, for text that must hold exactly one graph.
Graph parse(std::string_view text, const OpLookup& ops, std::string_view file = "<text>");

}  // namespace espalier
