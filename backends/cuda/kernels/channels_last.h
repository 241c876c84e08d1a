#pragma once
#include "backends/cuda/types.h"

namespace espalier::cuda::kernels {

/// A filter [o,c,taps] as [o,taps,c], which is what convolutions take.
void to_channels_last(Stream stream, int32_t dtype, const void* from, void* to, int64_t o, int64_t c, int64_t taps);
/// The other way.
void from_channels_last(Stream stream, int32_t dtype, const void* from, void* to, int64_t o, int64_t c, int64_t taps);

}  // namespace espalier::cuda::kernels
