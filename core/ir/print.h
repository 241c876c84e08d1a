#pragma once
// Text of a graph: flat SSA, one node a line. Byte-stable: a text diff of two prints is a review of two graphs.
//
//   graph @pair(%x: f32[2,8]) -> (sample: f32[2,8], "mid_block": f32[2,8]) {
//     %w = param "mid.weight" : f32[8,8] @mid_block !frozen
//     %c = constant [0.5] : f32[]
//     %h = linear %x, %w, none, %c {scale=2} : f32[2,8] @mid_block !recompute !grad=%x
//     return %h, %x
//   }

#include <string>
#include <string_view>

#include "core/ir/graph.h"

namespace espalier {

struct PrintOptions {
  /// 0: every node. n: a run of nodes whose block paths share their first n modules becomes one comment line (a module
  /// with its index counts once: `down_blocks.1.resnets.0` is 2 deep). For people; such text does not parse back.
  int fold_scopes = 0;
};

/// The whole graph. `parse(print(g))` is structurally equal to `g`. Inputs are printed in the header.
/// Never fails, on a malformed graph neither: an undefined operand is printed as `%<undefined>`.
std::string print(const Graph& graph, const PrintOptions& options = {});
/// One node's line without indent or line end; an input node as in the header.
std::string print_node(const Graph& graph, const Node& node);
/// `{groups=32, eps=1e-06}` without the entries that equal their default; "" when none is left.
std::string print_attrs(const OpDef& def, const Attrs& attrs);
/// The shortest text that reads back as the same double: `0.5`, `1e-05`, `-inf`, `nan`.
std::string print_number(double value);
/// `text` in quotes with `\"`, `\\`, `\n`, `\t` and `\xNN` for other control characters.
std::string print_string(std::string_view text);
// What stands in text without quotes: names of values and graphs and block paths are plain words (letters, digits,
// '_', '.', '-'), names of outputs and attributes are identifiers (no '.', '-', or leading digit).
bool is_word_char(char c);
bool is_plain_word(std::string_view text);
bool is_identifier(std::string_view text);

}  // namespace espalier
