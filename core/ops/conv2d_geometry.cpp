#include "core/ops/conv2d_geometry.h"

#include <algorithm>

#include "core/ops/op_common.h"

namespace espalier::ops {
namespace {
constexpr int64_t kMaxPadding = int64_t{1} << 20;  // pixels; far beyond use, and sums of extents cannot overflow
}

Conv2dGeometry conv2d_geometry(const OpCall& call, const Shape& weight) {
  const std::vector<int64_t>& pad = call.attrs.ints("padding");
  if (pad.size() != 4) refuse(call, "padding has " + std::to_string(pad.size()) + " values, needs 4: top, left, bottom, right");
  for (int64_t p : pad)
    if (p < 0 || p > kMaxPadding)
      refuse(call, "padding " + std::to_string(p) + (p < 0 ? " is negative" : " is over " + std::to_string(kMaxPadding)));
  const int64_t stride = call.attrs.i("stride");
  if (stride < 1) refuse(call, "stride is " + std::to_string(stride) + ", must be at least 1");
  return {stride, pad[0], pad[1], pad[2], pad[3], weight[2], weight[3]};
}

Shape conv2d_shape(const OpCall& call, const Conv2dGeometry& g, const Shape& x, const Shape& weight) {
  const int64_t room_h = x[1] + g.top + g.bottom - g.kernel_h, room_w = x[2] + g.left + g.right - g.kernel_w;
  if (room_h < 0 || room_w < 0)
    refuse(call, "a filter of " + std::to_string(g.kernel_h) + "x" + std::to_string(g.kernel_w) + " does not fit into " +
                     std::to_string(x[1] + g.top + g.bottom) + "x" + std::to_string(x[2] + g.left + g.right) + " padded pixels");
  return {x[0], room_h / g.stride + 1, room_w / g.stride + 1, weight[0]};
}

Conv2dAttrs conv2d_attrs(const OpCall& call) {
  Conv2dAttrs attrs{.stride = call.attrs.i("stride")};
  std::copy_n(call.attrs.ints("padding").begin(), 4, attrs.padding.begin());
  return attrs;
}

}  // namespace espalier::ops
