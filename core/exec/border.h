#pragma once
// The border between files and graphs: files hold images as N,C,H,W, graphs as N,H,W,C. All else is equal in both.

#include "core/exec/tensor.h"

namespace espalier::exec {

/// [N,C,H,W] → [N,H,W,C]. Errors: InternalError unless the rank is 4.
FloatTensor nchw_to_nhwc(const FloatTensor& image);
/// [N,H,W,C] → [N,C,H,W].
FloatTensor nhwc_to_nchw(const FloatTensor& image);

/// Tensors of rank 4 converted, the others as they are: in a UNet exactly the images have rank 4.
FloatTensors from_files(FloatTensors tensors);
FloatTensors to_files(FloatTensors tensors);

/// The shape that a file has for a graph's input or output of this shape.
Shape file_shape(const Shape& shape);

}  // namespace espalier::exec
