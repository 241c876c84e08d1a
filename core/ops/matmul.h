#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
struct MatmulAttrs {
  bool transpose_a = false;  // a is […,K,M]
  bool transpose_b = false;  // b is […,N,K]
};
/// a[…,M,K] · b[…,K,N] → […,M,N]; leading dimensions equal.
Value matmul(Builder& b, Value a, Value c, const MatmulAttrs& attrs = {});
}  // namespace espalier::ops
