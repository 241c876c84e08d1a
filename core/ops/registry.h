#pragma once
// Every op that espalier knows, in the order of op_list.def.

#include <span>
#include <string_view>

#include "core/ir/op_def.h"

namespace espalier::ops {

#define ESP_OP(name, stem) extern const OpDef name##_def;
#include "core/ops/op_list.def"
#undef ESP_OP

/// All definitions, in the order of op_list.def.
std::span<const OpDef* const> all();
/// The op called `name`, or nullptr.
const OpDef* find(std::string_view name);
/// What the parser takes.
OpLookup registry();

}  // namespace espalier::ops
