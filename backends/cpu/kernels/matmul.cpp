// matmul of two computed operands. "tiled": B of each matrix of the batch is packed in panels; a transposed A is turned
// first.

#include "backends/cpu/kernels/kernels.h"
#include "backends/cpu/product.h"

namespace espalier::cpu::kernels {
namespace {

class Tiled final : public Step {
 public:
  explicit Tiled(const Node& node)
      : m_(esp::dim(node.out(), -2)),
        n_(esp::dim(node.out(), -1)),
        transpose_a_(node.flag("transpose_a")),
        transpose_b_(node.flag("transpose_b")),
        k_(esp::dim(node.in(0), transpose_a_ ? -2 : -1)),
        batch_(esp::elements(node.out()) / std::max<int64_t>(m_ * n_, 1)),
        runs_(Runs::of(1, k_)) {}

  void run(Device& device, const Operands& at) override {
    const float *a = device.floats(at, 0), *b = device.floats(at, 1);
    auto* out = static_cast<float*>(at.out[0]);
    auto* packed = static_cast<float*>(at.workspace);
    float* turned = packed + batch_ * panels_of(n_) * kPanel * k_;
    const int64_t panels = panels_of(n_), chunks = (k_ + kPackRows - 1) / kPackRows;
    if (transpose_b_)
      device.parallel(batch_ * panels, [&](int64_t task, int) {
        pack_columns(b + task / panels * k_ * n_, task % panels, packed + task * kPanel * k_);
      });
    else
      device.parallel(batch_ * chunks, [&](int64_t task, int) {
        pack_rows(b + task / chunks * k_ * n_, task % chunks * kPackRows, packed + task / chunks * panels * kPanel * k_);
      });
    if (transpose_a_) {
      for (int64_t i = 0; i < batch_; ++i) turn(device, a + i * m_ * k_, k_, m_, turned + i * m_ * k_);
      a = turned;
    }
    for (int64_t i = 0; i < batch_; ++i)
      multiply(
          device, m_, 0, panels, Packed{packed + i * panels * kPanel * k_, ESP_F32}, runs_,
          [&](int64_t run, int64_t row, int64_t count, const float** rows) {
            for (int64_t r = 0; r < count; ++r) rows[r] = a + (i * m_ + row + r) * k_ + runs_.begin[static_cast<size_t>(run)];
          },
          [&](int64_t row, int rows, int64_t panel, const float* acc) {
            store_tile(out + i * m_ * n_, n_, row, rows, panel, acc);
          });
  }

  static uint64_t workspace(const Device&, const Node& node) {
    const Tiled t(node);
    return static_cast<uint64_t>(t.batch_ * t.k_ * (panels_of(t.n_) * kPanel + (t.transpose_a_ ? t.m_ : 0))) * 4;
  }

 private:
  static constexpr int64_t kPackRows = 16;

  void pack_columns(const float* b, int64_t panel, float* to) const {
    const int64_t first = panel * kPanel;
    pack_panel(
        {nullptr, b, ESP_F32}, k_, [&](int j) { return first + j < n_ ? (first + j) * k_ : -1; }, to);
  }

  // Rows [first, first + kPackRows) of every panel: whole rows are read, so that each page is visited once.
  void pack_rows(const float* b, int64_t first, float* to) const {
    const int64_t last = std::min(first + kPackRows, k_);
    for (int64_t column = 0; column < n_; column += kPanel, to += k_ * kPanel)
      for (int64_t i = first; i < last; ++i)
        for (int64_t v = 0; v < kPanel; v += kLanes) {
          const int64_t width = n_ - column - v;
          store(to + i * kPanel + v, width >= kLanes ? load(b + i * n_ + column + v)
                                                     : load_part(b + i * n_ + column + v, std::max<int64_t>(width, 0)));
        }
  }

  int64_t m_, n_;
  bool transpose_a_, transpose_b_;
  int64_t k_, batch_;
  Runs runs_;
};

Verdict accepts(const Device&, const Node& node) {
  if (esp::dim(node.in(0), node.flag("transpose_a") ? -2 : -1) == 0) return Verdict::no("the products are empty");
  return all_f32(node);
}

}  // namespace

std::span<const Kernel> matmul() {
  static constexpr Kernel kKernels[] = {{"matmul", "tiled", accepts, make_step<Tiled>, Tiled::workspace}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
