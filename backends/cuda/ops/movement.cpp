// broadcast, concat, permute, reshape, slice, stop_gradient: bytes move, all by one strided copy, concat by one for each part.
// Then the two of upsample_nearest.

#include "backends/cuda/kernels/movement.h"
#include "backends/cuda/ops/steps.h"

namespace espalier::cuda::ops {
namespace {

int64_t axis_of(const Node& node) {
  const int64_t axis = node.integer("axis");
  return axis < 0 ? axis + node.in(0).rank : axis;
}

/// The result's dimensions with the source's steps; `start` is the source's first element.
class StridedCopy final : public Step {
 public:
  StridedCopy(const Node& node, const std::vector<int64_t>& steps, int64_t start = 0)
      : dtype_(node.out().dtype), start_bytes_(start * esp::dtype_bytes(dtype_)) {
    const auto own = steps_of(node.out(), node.out().rank);
    for (size_t d = 0; d < steps.size(); ++d) axes_.add(node.out().dims[d], {steps[d], own[d]});
    axes_.finish();
  }
  void run(Device& device, const Operands& at) override {
    const char* from = static_cast<const char*>(data(device, at, 0, dtype_)) + start_bytes_;
    if (from != at.out[0]) kernels::strided_copy(device.stream(), esp::dtype_bytes(dtype_), axes_, from, at.out[0]);
  }

 private:
  int32_t dtype_;
  int64_t start_bytes_;
  kernels::Axes<2> axes_;
};

StepPtr prepare_broadcast(Device&, const Node& node) {
  return std::make_unique<StridedCopy>(node, steps_of(node.in(0), node.out().rank));
}
StepPtr prepare_permute(Device&, const Node& node) {
  const auto own = steps_of(node.in(0), node.in(0).rank);
  std::vector<int64_t> steps;
  for (int64_t from : node.integers("order")) steps.push_back(own[static_cast<size_t>(from)]);
  return std::make_unique<StridedCopy>(node, steps);
}
StepPtr prepare_same(Device&, const Node& node) {
  return std::make_unique<StridedCopy>(node, steps_of(node.out(), node.out().rank));
}
StepPtr prepare_slice(Device&, const Node& node) {
  int64_t step = 1;
  for (int64_t i = node.in(0).rank - 1; i > axis_of(node); --i) step *= node.in(0).dims[i];
  return std::make_unique<StridedCopy>(node, steps_of(node.in(0), node.in(0).rank), node.integer("begin") * step);
}

class Concat final : public Step {
 public:
  explicit Concat(const Node& node) : dtype_(node.out().dtype) {
    int64_t inner = 1, begin = 0;
    for (int64_t d = axis_of(node) + 1; d < node.out().rank; ++d) inner *= node.out().dims[d];
    const int64_t row = inner * node.out().dims[axis_of(node)];
    const int64_t rows = row == 0 ? 0 : esp::elements(node.out()) / row;
    for (size_t i = 0; i < node.inputs(); ++i) {
      const int64_t width = inner * node.in(i).dims[axis_of(node)];
      Part part;
      part.begin_bytes = begin * esp::dtype_bytes(dtype_);
      part.axes.add(rows, {width, row});
      part.axes.add(width, {1, 1});
      part.axes.finish();
      parts_.push_back(part);
      begin += width;
    }
  }
  void run(Device& device, const Operands& at) override {
    for (size_t i = 0; i < parts_.size(); ++i)
      kernels::strided_copy(device.stream(), esp::dtype_bytes(dtype_), parts_[i].axes, data(device, at, i, dtype_),
                            static_cast<char*>(at.out[0]) + parts_[i].begin_bytes);
  }

 private:
  struct Part {
    int64_t begin_bytes = 0;
    kernels::Axes<2> axes;
  };
  int32_t dtype_;
  std::vector<Part> parts_;
};

/// Any element type; a parameter only as what numbers convert to.
Verdict accepts_bytes(const Device& device, const Node& node) {
  for (size_t i = 0; i < node.inputs(); ++i)
    if (node.is_param(i)) return accepts_floats(device, node);
  if (esp::elements(node.out()) >= int64_t{1} << 31) return Verdict::no("more elements than 32 bits count");
  return Verdict::ok();
}

class Upsample final : public Step {
 public:
  explicit Upsample(const Node& node)
      : gradient_(node.op() == "upsample_nearest_grad"),
        small_(gradient_ ? node.out() : node.in(0)),
        large_(gradient_ ? node.in(0) : node.out()) {}
  void run(Device& device, const Operands& at) override {
    const auto kernel = gradient_ ? kernels::upsample_nearest_grad : kernels::upsample_nearest;
    kernel(device.stream(), small_.dtype, data(device, at, 0, small_.dtype), at.out[0], small_.dims[0], small_.dims[1],
           small_.dims[2], large_.dims[1], large_.dims[2], small_.dims[3]);
  }

 private:
  bool gradient_;
  esp_tensor_type small_, large_;
};

}  // namespace

std::span<const Kernel> movement() {
  static constexpr Kernel kKernels[] = {{"broadcast", "own", accepts_bytes, prepare_broadcast},
                                        {"concat", "own", accepts_bytes, make_step<Concat>},
                                        {"permute", "own", accepts_bytes, prepare_permute},
                                        {"reshape", "own", accepts_bytes, prepare_same},
                                        {"slice", "own", accepts_bytes, prepare_slice},
                                        {"stop_gradient", "own", accepts_bytes, prepare_same},
                                        {"upsample_nearest", "own", accepts_floats, make_step<Upsample>},
                                        {"upsample_nearest_grad", "own", accepts_floats, make_step<Upsample>}};
  return kKernels;
}

}  // namespace espalier::cuda::ops
