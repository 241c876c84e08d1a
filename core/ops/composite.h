#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
/// `body`: a graph of one output, printed (core/ir/print.h), whose inputs are `inputs` in order.
Value composite(Builder& b, const std::string& name, std::vector<Value> inputs, const std::string& body);
}  // namespace espalier::ops
