#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
/// x[N,H,W,C] → [N,height,width,C], each output pixel from floor(i · H / height). Any target size.
/// Matches torch.nn.functional.interpolate(mode="nearest").
Value upsample_nearest(Builder& b, Value x, int64_t height, int64_t width);
/// d[N,OH,OW,C] → [N,height,width,C]: the cotangent of an input of that size.
Value upsample_nearest_grad(Builder& b, Value d, int64_t height, int64_t width);
}  // namespace espalier::ops
