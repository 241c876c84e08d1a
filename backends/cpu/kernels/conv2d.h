#pragma once
// What the kernels of conv2d share.

#include "backends/cpu/device.h"

namespace espalier::cpu::kernels {

/// Extents of one convolution: x[n,h,width,c] · weight[o,c,kh,kw] → [n,out_h,out_w,o].
struct Conv2dShape {
  explicit Conv2dShape(const Node& node);
  /// The same convolution as its gradients see it: `x`, `w` and `y` are operands or results of theirs. No bias.
  Conv2dShape(const Node& node, const esp_tensor_type& x, const esp_tensor_type& w, const esp_tensor_type& y);
  int64_t n, h, width, c, o, kh, kw, out_h, out_w, stride, top, left;
  bool has_bias = false;
};

/// The input pixel under `tap` for each of `count` output pixels from `row` on; `zeros` outside the image.
void tap_rows(const Conv2dShape& shape, const float* x, const float* zeros, int64_t tap, int64_t row, int64_t count,
              const float** to);

/// Channels that the packers of filters take at a time.
inline constexpr int64_t kFilterChannels = 16;
/// The filters of one panel of output channels for input channels [c, c + channels): `to` gets channels · kh · kw rows of
/// kPanel floats, channels outermost.
void pack_filters(const Conv2dShape& shape, const Weight& weight, int64_t panel, int64_t c, int64_t channels, float* to);

/// Adds the bias to a finished tile of output pixels [row, row + rows) and stores it.
void finish_conv2d(const Conv2dShape& shape, int64_t row, int rows, int64_t panel, const float* acc, const float* bias,
                   float* out);

}  // namespace espalier::cpu::kernels
