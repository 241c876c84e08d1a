#pragma once
// Steps of row-major tensors, for ops that walk operands in the result's dimensions.

#include <vector>

#include "backends/cuda/ops/ops.h"

namespace espalier::cuda::ops {

/// In elements, for each of `rank` dimensions of a result that the tensor is broadcast to, aligned at the last; 0 where it
/// repeats.
inline std::vector<int64_t> steps_of(const esp_tensor_type& type, int32_t rank) {
  std::vector<int64_t> steps(static_cast<size_t>(rank), 0);
  int64_t step = 1;
  for (int32_t i = type.rank - 1, to = rank - 1; i >= 0; --i, --to) {
    if (type.dims[i] != 1) steps[static_cast<size_t>(to)] = step;
    step *= type.dims[i];
  }
  return steps;
}

}  // namespace espalier::cuda::ops
