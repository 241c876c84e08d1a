// group_norm and group_norm_silu. Channels are innermost, so a group is a narrow stripe of every row: statistics are taken
// for each channel over fixed runs of rows (mean first, then squares around it: no cancellation), joined in double in a
// fixed order, and applied as one multiply-add for each element.

#include <cmath>

#include "backends/cpu/kernels/map.h"

namespace espalier::cpu::kernels {
namespace {

constexpr int64_t kRunRows = 64;

class GroupNorm final : public Step {
 public:
  explicit GroupNorm(const Node& node)
      : silu_(node.op() == "group_norm_silu"),
        n_(node.in(0).dims[0]),
        c_(esp::dim(node.in(0), -1)),
        rows_(esp::elements(node.in(0)) / std::max<int64_t>(n_ * c_, 1)),
        runs_((rows_ + kRunRows - 1) / kRunRows),
        groups_(node.integer("groups")),
        eps_(node.number("eps")) {}

  void run(Device& device, const Operands& at) override {
    const float *x = device.floats(at, 0), *weight = device.floats(at, 1), *bias = device.floats(at, 2);
    auto* out = static_cast<float*>(at.out[0]);
    auto* moments = static_cast<float*>(at.workspace);  // [n][run][2][c]: mean and squared deviations
    float* affine = moments + n_ * runs_ * 2 * c_;      // [n][2][c]: factor and shift
    device.parallel(n_ * runs_, [&](int64_t task, int) {
      const int64_t first = task % runs_ * kRunRows;
      measure(x + (task / runs_ * rows_ + first) * c_, std::min(kRunRows, rows_ - first), moments + task * 2 * c_);
    });
    device.parallel(n_, [&](int64_t n, int) { join(moments + n * runs_ * 2 * c_, weight, bias, affine + n * 2 * c_); });
    device.parallel(n_ * runs_, [&](int64_t task, int) {
      const int64_t n = task / runs_, first = task % runs_ * kRunRows, begin = (n * rows_ + first) * c_;
      apply(x + begin, std::min(kRunRows, rows_ - first), affine + n * 2 * c_, out + begin);
    });
  }

  static uint64_t workspace(const Device&, const Node& node) {
    const GroupNorm g(node);
    return static_cast<uint64_t>(g.n_ * (g.runs_ + 1) * 2 * g.c_) * 4;
  }

 private:
  void measure(const float* x, int64_t rows, float* moments) const {
    for (int64_t c = 0; c < c_; c += kLanes) {
      const int64_t width = std::min<int64_t>(kLanes, c_ - c);
      Vec sum{}, squares{};
      for (int64_t r = 0; r < rows; ++r) sum += load_part(x + r * c_ + c, width);
      const Vec mean = sum / splat(static_cast<float>(rows));
      for (int64_t r = 0; r < rows; ++r) {
        const Vec away = load_part(x + r * c_ + c, width) - mean;
        squares += away * away;
      }
      store_part(moments + c, mean, width);
      store_part(moments + c_ + c, squares, width);
    }
  }

  void join(const float* moments, const float* weight, const float* bias, float* affine) const {
    const int64_t width = c_ / groups_;
    for (int64_t g = 0; g < groups_; ++g) {
      double total = 0;
      for (int64_t run = 0; run < runs_; ++run)
        for (int64_t c = g * width; c < (g + 1) * width; ++c)
          total += static_cast<double>(moments[run * 2 * c_ + c]) * rows_of(run);
      const double mean = total / static_cast<double>(rows_ * width);
      double squares = 0;
      for (int64_t run = 0; run < runs_; ++run)
        for (int64_t c = g * width; c < (g + 1) * width; ++c) {
          const double away = moments[run * 2 * c_ + c] - mean;
          squares += moments[run * 2 * c_ + c_ + c] + away * away * rows_of(run);
        }
      const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(rows_ * width) + eps_);
      for (int64_t c = g * width; c < (g + 1) * width; ++c) {
        affine[c] = static_cast<float>(inverse * weight[c]);
        affine[c_ + c] = static_cast<float>(bias[c] - mean * inverse * weight[c]);
      }
    }
  }
  double rows_of(int64_t run) const { return static_cast<double>(std::min(kRunRows, rows_ - run * kRunRows)); }

  void apply(const float* x, int64_t rows, const float* affine, float* out) const {
    for (int64_t r = 0; r < rows; ++r, x += c_, out += c_)
      for (int64_t c = 0; c < c_; c += kLanes) {
        const int64_t width = std::min<int64_t>(kLanes, c_ - c);
        const bool whole = width == kLanes;
        Vec y = whole ? load(x + c) * load(affine + c) + load(affine + c_ + c)
                      : load_part(x + c, width) * load_part(affine + c, width) + load_part(affine + c_ + c, width);
        if (silu_) y = vsilu(y);
        if (whole)
          store(out + c, y);
        else
          store_part(out + c, y, width);
      }
  }

  bool silu_;
  int64_t n_, c_, rows_, runs_, groups_;
  double eps_;
};

}  // namespace

std::span<const Kernel> group_norm() {
  static constexpr Kernel kKernels[] = {
      {"group_norm", "vector", accepts_f32, make_step<GroupNorm>, GroupNorm::workspace},
      {"group_norm_silu", "vector", accepts_f32, make_step<GroupNorm>, GroupNorm::workspace},
  };
  return kKernels;
}

}  // namespace espalier::cpu::kernels
