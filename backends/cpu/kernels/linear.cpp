// linear and its fused forms. "tiled": B packed in panels; bias, residual and GEGLU are applied to finished register
// tiles, so that no intermediate passes through memory. A GEGLU panel holds half a panel of values and, beside them, the
// half panel of their gates.

#include "backends/cpu/kernels/kernels.h"
#include "backends/cpu/product.h"

namespace espalier::cpu::kernels {
namespace {

enum class Fused { kNone, kAdd, kGeglu };

Fused fused_of(const Node& node) {
  return node.op() == "linear_add" ? Fused::kAdd : node.op() == "linear_geglu" ? Fused::kGeglu : Fused::kNone;
}

class Tiled final : public Step {
 public:
  explicit Tiled(const Node& node)
      : fused_(fused_of(node)),
        k_(esp::dim(node.in(0), -1)),
        m_(esp::elements(node.in(0)) / std::max<int64_t>(k_, 1)),
        width_(esp::dim(node.out(), -1)),
        has_bias_(node.has(2)),
        runs_(Runs::of(1, k_)) {}

  void run(Device& device, const Operands& at) override {
    const auto* x = device.floats(at, 0);
    const float* bias = has_bias_ ? device.floats(at, 2) : nullptr;
    const float* residual = fused_ == Fused::kAdd ? device.floats(at, 3) : nullptr;
    auto* out = static_cast<float*>(at.out[0]);
    const int64_t panels = panels_of_width();
    const auto pack = [&](const Weight& weight, int64_t panel, float* to) {
      pack_panel(
          weight, k_, [&](int j) { return row_of(panel, j) < 0 ? -1 : row_of(panel, j) * k_; }, to);
    };
    with_packed(device, weight_of(at, 1), fused_ == Fused::kGeglu ? "geglu" : "linear", panels, k_ * kPanel, true, pack,
                [&](int64_t first, int64_t last, Packed packed) {
                  multiply(
                      device, m_, first, last, packed, runs_,
                      [&](int64_t run, int64_t row, int64_t count, const float** rows) {
                        for (int64_t r = 0; r < count; ++r) rows[r] = x + (row + r) * k_ + runs_.begin[static_cast<size_t>(run)];
                      },
                      [&](int64_t row, int count, int64_t panel, const float* acc) {
                        if (fused_ == Fused::kGeglu)
                          finish_geglu(row, count, panel, acc, bias, out);
                        else
                          finish(row, count, panel, acc, bias, residual, out);
                      });
                });
  }

  esp::kept_copies kept() const { return kept_weight(panels_of_width() * k_ * kPanel, true); }

 private:
  int64_t panels_of_width() const {
    const int64_t per_panel = fused_ == Fused::kGeglu ? kPanel / 2 : kPanel;
    return (width_ + per_panel - 1) / per_panel;
  }
  // The weight's row that column j of a panel holds; -1 past the end.
  int64_t row_of(int64_t panel, int j) const {
    if (fused_ != Fused::kGeglu) return panel * kPanel + j < width_ ? panel * kPanel + j : -1;
    const int64_t column = panel * (kPanel / 2) + j % (kPanel / 2);
    if (column >= width_) return -1;
    return j < kPanel / 2 ? column : width_ + column;
  }

  void finish(int64_t row, int rows, int64_t panel, const float* acc, const float* bias, const float* residual,
              float* out) const {
    for (int v = 0; v < kPanelVecs; ++v) {
      const int64_t column = panel * kPanel + v * kLanes;
      const int64_t width = std::min<int64_t>(kLanes, width_ - column);
      if (width <= 0) return;
      const bool whole = width == kLanes;
      const Vec shift = bias ? whole ? load(bias + column) : load_part(bias + column, width) : Vec{};
      for (int r = 0; r < rows; ++r) {
        Vec y = load(acc + r * kPanel + v * kLanes) + shift;
        const int64_t to = (row + r) * width_ + column;
        if (residual) y += whole ? load(residual + to) : load_part(residual + to, width);
        if (whole)
          store(out + to, y);
        else
          store_part(out + to, y, width);
      }
    }
  }

  void finish_geglu(int64_t row, int rows, int64_t panel, const float* acc, const float* bias, float* out) const {
    constexpr int kHalf = kPanelVecs / 2;
    for (int v = 0; v < kHalf; ++v) {
      const int64_t column = panel * (kPanel / 2) + v * kLanes;
      const int64_t width = std::min<int64_t>(kLanes, width_ - column);
      if (width <= 0) return;
      const Vec value_shift = bias ? load_part(bias + column, width) : Vec{};
      const Vec gate_shift = bias ? load_part(bias + width_ + column, width) : Vec{};
      for (int r = 0; r < rows; ++r) {
        const Vec value = load(acc + r * kPanel + v * kLanes) + value_shift;
        const Vec gate = load(acc + r * kPanel + (v + kHalf) * kLanes) + gate_shift;
        store_part(out + (row + r) * width_ + column, value * vgelu(gate), width);
      }
    }
  }

  Fused fused_;
  int64_t k_, m_, width_;
  bool has_bias_;
  Runs runs_;
};

Verdict accepts(const Device&, const Node& node) { return all_f32(node); }

}  // namespace

std::span<const Kernel> linear() {
  static constexpr Kernel kKernels[] = {
      {"linear", "tiled", accepts, make_step<Tiled>, nullptr, kept_by<Tiled>},
      {"linear_add", "tiled", accepts, make_step<Tiled>, nullptr, kept_by<Tiled>},
      {"linear_geglu", "tiled", accepts, make_step<Tiled>, nullptr, kept_by<Tiled>},
  };
  return kKernels;
}

}  // namespace espalier::cpu::kernels
