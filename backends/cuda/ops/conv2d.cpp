// conv2d and its two gradients: cuDNN on NHWC images. Filters lie in files as [o,c,kh,kw] and go to the library as [o,kh,kw,c]: a
// parameter is turned once and kept, a filter that trains at each run, a filter's gradient back.

#include "backends/cuda/kernels/channels_last.h"
#include "backends/cuda/ops/planned.h"

namespace espalier::cuda::ops {
namespace {

using Kind = ConvShape::Kind;

ConvShape shape_between(const Node& node, Kind kind, const esp_tensor_type& x, const esp_tensor_type& w,
                        const esp_tensor_type& y) {
  const std::span<const int64_t> padding = node.integers("padding");
  ConvShape shape;
  shape.kind = kind;
  shape.n = esp::dim(x, 0), shape.h = esp::dim(x, 1), shape.w = esp::dim(x, 2), shape.c = esp::dim(x, 3);
  shape.o = esp::dim(w, 0), shape.kh = esp::dim(w, 2), shape.kw = esp::dim(w, 3);
  shape.out_h = esp::dim(y, 1), shape.out_w = esp::dim(y, 2);
  shape.stride = node.integer("stride");
  shape.top = padding[0], shape.left = padding[1], shape.bottom = padding[2], shape.right = padding[3];
  shape.dtype = node.out().dtype;
  shape.has_bias = kind == Kind::kForward && node.has(2);
  return shape;
}
ConvShape shape_of(const Node& node) {
  if (node.op() == "conv2d_grad_input") return shape_between(node, Kind::kGradInput, node.out(), node.in(1), node.in(0));
  if (node.op() == "conv2d_grad_weight") return shape_between(node, Kind::kGradWeight, node.in(0), node.out(), node.in(1));
  return shape_between(node, Kind::kForward, node.in(0), node.in(1), node.out());
}

class Conv2d final : public Step {
 public:
  Conv2d(Device& device, const Node& node)
      : shape_(shape_of(node)),
        taps_(shape_.kh * shape_.kw),
        turns_(turns(node, shape_)),
        plan_(device.seam().plan(shape_).plan) {}

  /// The turned filters, or the filters' gradient before it is turned, come first.
  static uint64_t workspace(const Device& device, const Node& node) {
    const ConvShape shape = shape_of(node);
    return plan_workspace<shape_of>(device, node) + (turns(node, shape) ? filter_bytes(shape) : 0);
  }
  void run(Device& device, const Operands& at) override {
    void* const turned = at.workspace;
    void* const scratch = static_cast<char*>(at.workspace) + (turns_ ? filter_bytes(shape_) : 0);
    const auto get = [&](size_t i) { return data(device, at, i, shape_.dtype); };
    if (shape_.kind == Kind::kGradWeight) {
      plan_->run(device.stream(), {get(0), get(1), nullptr, turns_ ? turned : at.out[0]}, scratch);
      if (turns_) kernels::from_channels_last(device.stream(), shape_.dtype, turned, at.out[0], shape_.o, shape_.c, taps_);
      return;
    }
    const Layout layout = taps_ == 1 ? Layout::kFile : Layout::kChannelsLast;
    const void* filters = at.params[1] ? data(device, at, 1, shape_.dtype, layout) : at.in[1];
    if (turns_) {
      kernels::to_channels_last(device.stream(), shape_.dtype, filters, turned, shape_.o, shape_.c, taps_);
      filters = turned;
    }
    plan_->run(device.stream(), {get(0), filters, shape_.has_bias ? get(2) : nullptr, at.out[0]}, scratch);
  }

 private:
  /// Whether filters change their layout within a run.
  static bool turns(const Node& node, const ConvShape& shape) {
    return shape.kh * shape.kw > 1 && (shape.kind == Kind::kGradWeight || !node.is_param(1));
  }
  static uint64_t filter_bytes(const ConvShape& shape) {
    return rounded(bytes_of(shape.o * shape.kh * shape.kw * shape.c, shape.dtype));
  }

  ConvShape shape_;
  int64_t taps_;
  bool turns_;
  PlanPtr<ConvOperands> plan_;
};

}  // namespace

std::span<const Kernel> conv2d() {
  static constexpr Kernel kKernels[] = {
      {"conv2d", "cudnn", accepts_planned<shape_of>, make_planned<Conv2d>, Conv2d::workspace},
      {"conv2d_grad_input", "cudnn", accepts_planned<shape_of>, make_planned<Conv2d>, Conv2d::workspace},
      {"conv2d_grad_weight", "cudnn", accepts_planned<shape_of>, make_planned<Conv2d>, Conv2d::workspace}};
  return kKernels;
}

}  // namespace espalier::cuda::ops
