// upsample_nearest: whole pixels are copied, a row of the result at a time.

#include <cstring>

#include "backends/cpu/kernels/map.h"

namespace espalier::cpu::kernels {
namespace {

class UpsampleNearest final : public Step {
 public:
  explicit UpsampleNearest(const Node& node)
      : n_(node.in(0).dims[0]),
        h_(node.in(0).dims[1]),
        w_(node.in(0).dims[2]),
        c_(node.in(0).dims[3]),
        height_(node.out().dims[1]),
        width_(node.out().dims[2]) {}
  void run(Device& device, const Operands& at) override {
    const float* x = device.floats(at, 0);
    auto* out = static_cast<float*>(at.out[0]);
    device.parallel(n_ * height_, [&](int64_t task, int) {
      const float* row = x + (task / height_ * h_ + task % height_ * h_ / height_) * w_ * c_;
      float* to = out + task * width_ * c_;
      for (int64_t i = 0; i < width_; ++i) std::memcpy(to + i * c_, row + i * w_ / width_ * c_, static_cast<size_t>(c_) * 4);
    });
  }

 private:
  int64_t n_, h_, w_, c_, height_, width_;
};

}  // namespace

std::span<const Kernel> upsample_nearest() {
  static constexpr Kernel kKernels[] = {{"upsample_nearest", "copy", accepts_f32, make_step<UpsampleNearest>}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
