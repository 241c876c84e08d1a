// adamw: one pass over tensor, gradient and both moments.

#include <cmath>

#include "backends/cpu/kernels/map.h"

namespace espalier::cpu::kernels {
namespace {

class AdamW final : public Step {
 public:
  explicit AdamW(const Node& node)
      : count_(esp::elements(node.in(0))),
        beta1_(static_cast<float>(node.number("beta1"))),
        beta2_(static_cast<float>(node.number("beta2"))),
        rest1_(static_cast<float>(1 - node.number("beta1"))),
        rest2_(static_cast<float>(1 - node.number("beta2"))),
        eps_(static_cast<float>(node.number("eps"))),
        weight_decay_(node.number("weight_decay")) {}

  void run(Device& device, const Operands& at) override {
    const float *p = device.floats(at, 0), *g = device.floats(at, 1), *m = device.floats(at, 2), *v = device.floats(at, 3),
                *hyper = device.floats(at, 4);
    auto *new_p = static_cast<float*>(at.out[0]), *new_m = static_cast<float*>(at.out[1]),
         *new_v = static_cast<float*>(at.out[2]);
    const auto keep = static_cast<float>(1 - hyper[0] * weight_decay_);
    const float scale = hyper[1], step = hyper[0] / hyper[2], root = 1 / std::sqrt(hyper[3]);
    device.parallel_ranges(count_, kMapGrain, [&](int64_t begin, int64_t end) {
      by_vectors(begin, end, [&](int64_t i, int64_t n) {
        const Vec gradient = take(g + i, n) * scale;
        const Vec first = beta1_ * take(m + i, n) + rest1_ * gradient;
        const Vec second = beta2_ * take(v + i, n) + rest2_ * (gradient * gradient);
        put(new_p + i, take(p + i, n) * keep - step * first / (vsqrt(second) * root + eps_), n);
        put(new_m + i, first, n);
        put(new_v + i, second, n);
      });
    });
  }

 private:
  int64_t count_;
  float beta1_, beta2_, rest1_, rest2_, eps_;
  double weight_decay_;
};

}  // namespace

std::span<const Kernel> adamw() {
  static constexpr Kernel kKernels[] = {{"adamw", "vector", accepts_f32, make_step<AdamW>}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
