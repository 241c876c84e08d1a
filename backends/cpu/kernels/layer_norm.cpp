// layer_norm: one row at a time, mean first, then squares around it; the row stays in the L1 cache between the passes.

#include <cmath>

#include "backends/cpu/kernels/map.h"

namespace espalier::cpu::kernels {
namespace {

class LayerNorm final : public Step {
 public:
  explicit LayerNorm(const Node& node)
      : c_(esp::dim(node.in(0), -1)),
        rows_(esp::elements(node.in(0)) / std::max<int64_t>(c_, 1)),
        eps_(static_cast<float>(node.number("eps"))),
        has_weight_(node.has(1)),
        has_bias_(node.has(2)) {}

  void run(Device& device, const Operands& at) override {
    const float* x = device.floats(at, 0);
    const float* weight = has_weight_ ? device.floats(at, 1) : nullptr;
    const float* bias = has_bias_ ? device.floats(at, 2) : nullptr;
    auto* out = static_cast<float*>(at.out[0]);
    device.parallel_ranges(rows_, std::max<int64_t>(1, kMapGrain / c_), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) row(x + r * c_, weight, bias, out + r * c_);
    });
  }

 private:
  void row(const float* x, const float* weight, const float* bias, float* out) const {
    const auto at = [&](const float* p, int64_t c) { return c + kLanes <= c_ ? load(p + c) : load_part(p + c, c_ - c); };
    Vec sum{};
    for (int64_t c = 0; c < c_; c += kLanes) sum += at(x, c);
    const float mean = reduce_add(sum) / static_cast<float>(c_);
    Vec squares{};
    for (int64_t c = 0; c < c_; c += kLanes) {
      const Vec away = c + kLanes <= c_ ? load(x + c) - splat(mean) : load_part(x + c, c_ - c, mean) - splat(mean);
      squares += away * away;
    }
    const float inverse = 1.0f / std::sqrt(reduce_add(squares) / static_cast<float>(c_) + eps_);
    for (int64_t c = 0; c < c_; c += kLanes) {
      Vec y = (at(x, c) - splat(mean)) * inverse;
      if (weight) y *= at(weight, c);
      if (bias) y += at(bias, c);
      if (c + kLanes <= c_)
        store(out + c, y);
      else
        store_part(out + c, y, c_ - c);
    }
  }

  int64_t c_, rows_;
  float eps_;
  bool has_weight_, has_bias_;
};

}  // namespace

std::span<const Kernel> layer_norm() {
  static constexpr Kernel kKernels[] = {{"layer_norm", "vector", accepts_f32, make_step<LayerNorm>}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
