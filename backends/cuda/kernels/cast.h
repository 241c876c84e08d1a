#pragma once
#include "backends/cuda/types.h"

namespace espalier::cuda::kernels {

/// `count` numbers from one of f32, f16, bf16 to another, rounded to nearest even. Both 16-byte aligned.
void cast(Stream stream, int32_t from_dtype, const void* from, int32_t to_dtype, void* to, int64_t count);

}  // namespace espalier::cuda::kernels
