#pragma once
// What the libraries behind the seam compute, plainly, on the host: operands widened to f32, sums in double for short and in f32
// by runs for long ones, results rounded once.

#include "backends/cuda/seam.h"

namespace espalier::cuda::testing {

void compute(const MatmulShape& shape, const MatmulOperands& at);
void compute(const ConvShape& shape, const ConvOperands& at);
void compute(const AttentionShape& shape, const AttentionOperands& at);

}  // namespace espalier::cuda::testing
