#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
Value abs(Builder& b, Value x);
Value cos(Builder& b, Value x);
Value erf(Builder& b, Value x);
Value exp(Builder& b, Value x);
Value log(Builder& b, Value x);
Value neg(Builder& b, Value x);
Value rsqrt(Builder& b, Value x);
Value sign(Builder& b, Value x);
Value sin(Builder& b, Value x);
Value sqrt(Builder& b, Value x);
Value square(Builder& b, Value x);
}  // namespace espalier::ops
