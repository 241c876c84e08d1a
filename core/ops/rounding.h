#pragma once
#include "core/ir/dtype.h"

namespace espalier::ops {
/// The value that an element of `dtype` holds after `value` is stored in it: nearest even for floating types (too large
/// becomes infinity), toward zero for integers, != 0 for bool.
double round_to(DType dtype, double value);
}  // namespace espalier::ops
