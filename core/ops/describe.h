#pragma once
// Markdown about ops, written from their definitions alone: `espalier ops [NAME]` and docs/ops.md.

#include <string>

#include "core/ir/op_def.h"

namespace espalier::ops {

/// One section: heading, summary, formula, operands, attributes, what a composite is made of.
std::string describe(const OpDef& def);
/// The whole of docs/ops.md: a table of every op, then their sections in the order of op_list.def.
std::string describe_all();

}  // namespace espalier::ops
