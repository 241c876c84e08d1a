#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
Value stop_gradient(Builder& b, Value x);
}  // namespace espalier::ops
