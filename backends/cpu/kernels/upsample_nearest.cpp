// upsample_nearest: whole pixels are copied, a row of the result at a time. Its gradient sums them back in the same order.

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

class UpsampleNearestGrad final : public Step {
 public:
  explicit UpsampleNearestGrad(const Node& node)
      : n_(node.in(0).dims[0]),
        height_(node.in(0).dims[1]),
        width_(node.in(0).dims[2]),
        c_(node.in(0).dims[3]),
        h_(node.out().dims[1]),
        w_(node.out().dims[2]) {}
  void run(Device& device, const Operands& at) override {
    const float* d = device.floats(at, 0);
    auto* out = static_cast<float*>(at.out[0]);
    device.parallel(n_ * h_, [&](int64_t task, int) {
      float* row = out + task * w_ * c_;
      std::memset(row, 0, static_cast<size_t>(w_ * c_) * 4);
      const int64_t n = task / h_, y = task % h_;
      for (int64_t i = first_copy(y, h_, height_); i < first_copy(y + 1, h_, height_); ++i)
        for (int64_t j = 0; j < width_; ++j) {
          const float* from = d + ((n * height_ + i) * width_ + j) * c_;
          float* to = row + j * w_ / width_ * c_;
          for (int64_t c = 0; c < c_; ++c) to[c] += from[c];
        }
    });
  }

 private:
  // First of the `many` rows that copy row `from` of `few`.
  static int64_t first_copy(int64_t from, int64_t few, int64_t many) { return (from * many + few - 1) / few; }
  int64_t n_, height_, width_, c_, h_, w_;
};

}  // namespace

std::span<const Kernel> upsample_nearest() {
  static constexpr Kernel kKernels[] = {{"upsample_nearest", "copy", accepts_f32, make_step<UpsampleNearest>},
                                        {"upsample_nearest_grad", "sum", accepts_f32, make_step<UpsampleNearestGrad>}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
