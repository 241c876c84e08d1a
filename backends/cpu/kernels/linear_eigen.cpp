// linear and linear_add on Eigen's product, in fixed tiles.

#include <Eigen/Core>

#include "backends/cpu/kernels/kernels.h"
#include "backends/cpu/product.h"
#include "backends/cpu/widen.h"

namespace espalier::cpu::kernels {
namespace {

constexpr int64_t kRows = 128, kColumns = 256;

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Steps = Eigen::OuterStride<>;
using In = Eigen::Map<const Matrix, 0, Steps>;
using Out = Eigen::Map<Matrix, 0, Steps>;

class EigenProduct final : public Step {
 public:
  explicit EigenProduct(const Node& node)
      : k_(esp::dim(node.in(0), -1)),
        m_(esp::elements(node.in(0)) / k_),
        width_(esp::dim(node.out(), -1)),
        has_bias_(node.has(2)),
        adds_(node.op() == "linear_add") {}

  esp::kept_copies kept() const { return kept_weight((width_ + kColumns - 1) / kColumns * kColumns * k_, false); }

  void run(Device& device, const Operands& at) override {
    const float* x = device.floats(at, 0);
    const float* bias = has_bias_ ? device.floats(at, 2) : nullptr;
    const float* residual = adds_ ? device.floats(at, 3) : nullptr;
    auto* out = static_cast<float*>(at.out[0]);
    const int64_t parts = (width_ + kColumns - 1) / kColumns, blocks = (m_ + kRows - 1) / kRows;
    with_packed(
        device, weight_of(at, 1), "rows", parts, kColumns * k_, false,
        [&](const Weight& weight, int64_t part, float* to) {
          const int64_t columns = std::min(kColumns, width_ - part * kColumns);
          widen(weight.data, weight.dtype, part * kColumns * k_, columns * k_, to);
        },
        [&](int64_t first, int64_t last, Packed copy) {
          const auto* packed = static_cast<const float*>(copy.data);
          device.parallel(blocks * (last - first), [&](int64_t task, int) {
            const int64_t part = first + task / blocks, row = task % blocks * kRows, column = part * kColumns;
            const int64_t rows = std::min(kRows, m_ - row), columns = std::min(kColumns, width_ - column);
            const In a(x + row * k_, rows, k_, Steps(k_));
            const In b(packed + (part - first) * kColumns * k_, columns, k_, Steps(k_));
            Out y(out + row * width_ + column, rows, columns, Steps(width_));
            y.noalias() = a * b.transpose();
            if (bias) y.rowwise() += Eigen::Map<const Eigen::RowVectorXf>(bias + column, columns);
            if (residual) y += In(residual + row * width_ + column, rows, columns, Steps(width_));
          });
        });
  }

 private:
  int64_t k_, m_, width_;
  bool has_bias_, adds_;
};

Verdict accepts(const Device&, const Node& node) {
  if (esp::elements(node.in(0)) == 0) return Verdict::no("an operand is empty");
  return all_f32(node);
}

}  // namespace

std::span<const Kernel> linear_eigen() {
  static constexpr Kernel kKernels[] = {
      {"linear", "eigen", accepts, make_step<EigenProduct>, nullptr, kept_by<EigenProduct>},
      {"linear_add", "eigen", accepts, make_step<EigenProduct>, nullptr, kept_by<EigenProduct>},
  };
  return kKernels;
}

}  // namespace espalier::cpu::kernels
