#pragma once
// Where a filter lies on an image: what conv2d and its two gradients share. Not for other rooms.

#include "core/ir/op_def.h"
#include "core/ops/conv2d.h"

namespace espalier::ops {

/// In pixels.
struct Conv2dGeometry {
  int64_t stride, top, left, bottom, right, kernel_h, kernel_w;
};

/// The attributes `stride` and `padding` of `call` with the extents of weight[O,C,kh,kw]. Errors: VerifyError.
Conv2dGeometry conv2d_geometry(const OpCall& call, const Shape& weight);
/// Shape of the convolution of x[N,H,W,C]. Errors: VerifyError when the filter does not fit.
Shape conv2d_shape(const OpCall& call, const Conv2dGeometry& g, const Shape& x, const Shape& weight);
/// `stride` and `padding` as the builders take them; the call is checked already.
Conv2dAttrs conv2d_attrs(const OpCall& call);

}  // namespace espalier::ops
