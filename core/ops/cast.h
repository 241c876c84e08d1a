#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
/// x in another element type, rounded to nearest even; the attribute `to` is the dtype's name.
Value cast(Builder& b, Value x, DType to);
}  // namespace espalier::ops
