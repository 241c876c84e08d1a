// conv2d on Eigen's product: patches of a block of output pixels are gathered in the order of the filters' own elements.

#include <Eigen/Core>

#include "backends/cpu/kernels/conv2d.h"
#include "backends/cpu/kernels/kernels.h"
#include "backends/cpu/widen.h"

namespace espalier::cpu::kernels {
namespace {

constexpr int64_t kRows = 128;

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using In = Eigen::Map<const Matrix>;
using Out = Eigen::Map<Matrix>;

class EigenConv final : public Step {
 public:
  explicit EigenConv(const Node& node) : s_(node), k_(s_.c * s_.kh * s_.kw), m_(s_.n * s_.out_h * s_.out_w) {}

  esp::kept_copies kept() const { return kept_weight(s_.o * k_, false); }

  void run(Device& device, const Operands& at) override {
    const float* x = device.floats(at, 0);
    const float* bias = s_.has_bias ? device.floats(at, 2) : nullptr;
    auto* out = static_cast<float*>(at.out[0]);
    with_packed(
        device, weight_of(at, 1), "rows", 1, s_.o * k_, false,
        [&](const Weight& weight, int64_t, float* to) { widen(weight.data, weight.dtype, 0, s_.o * k_, to); },
        [&](int64_t, int64_t, Packed copy) {
          const auto* filters = static_cast<const float*>(copy.data);
          device.parallel((m_ + kRows - 1) / kRows, [&](int64_t task, int thread) {
            const int64_t row = task * kRows, rows = std::min(kRows, m_ - row);
            float* patches = device.scratch(thread, kRows * k_);
            for (int64_t r = 0; r < rows; ++r) gather(x, row + r, patches + r * k_);
            Out y(out + row * s_.o, rows, s_.o);
            y.noalias() = In(patches, rows, k_) * In(filters, s_.o, k_).transpose();
            if (bias) y.rowwise() += Eigen::Map<const Eigen::RowVectorXf>(bias, s_.o);
          });
        });
  }

 private:
  void gather(const float* x, int64_t row, float* patch) const {
    const int64_t ox = row % s_.out_w, oy = row / s_.out_w % s_.out_h, n = row / (s_.out_w * s_.out_h), taps = s_.kh * s_.kw;
    for (int64_t tap = 0; tap < taps; ++tap) {
      const int64_t y = oy * s_.stride - s_.top + tap / s_.kw, xx = ox * s_.stride - s_.left + tap % s_.kw;
      const bool inside = y >= 0 && y < s_.h && xx >= 0 && xx < s_.width;
      const float* pixel = x + ((n * s_.h + y) * s_.width + xx) * s_.c;
      for (int64_t c = 0; c < s_.c; ++c) patch[c * taps + tap] = inside ? pixel[c] : 0.0f;
    }
  }

  Conv2dShape s_;
  int64_t k_, m_;
};

Verdict accepts(const Device&, const Node& node) {
  const Conv2dShape s(node);
  if (s.n * s.out_h * s.out_w * s.o * s.c == 0) return Verdict::no("an operand is empty");
  return all_f32(node);
}

}  // namespace

std::span<const Kernel> conv2d_eigen() {
  static constexpr Kernel kKernels[] = {{"conv2d", "eigen", accepts, make_step<EigenConv>, nullptr, kept_by<EigenConv>}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
