// ema: the average is read and written where it lies.

#include "backends/cpu/kernels/map.h"

namespace espalier::cpu::kernels {
namespace {

class Ema final : public Step {
 public:
  explicit Ema(const Node& node) : count_(esp::elements(node.out())) {}
  void run(Device& device, const Operands& at) override {
    const float *average = device.floats(at, 0), *x = device.floats(at, 1), decay = *device.floats(at, 2);
    auto* out = static_cast<float*>(at.out[0]);
    device.parallel_ranges(count_, kMapGrain, [&](int64_t begin, int64_t end) {
      by_vectors(begin, end, [&](int64_t i, int64_t n) {
        const Vec now = take(x + i, n);
        put(out + i, now + decay * (take(average + i, n) - now), n);
      });
    });
  }

 private:
  int64_t count_;
};

}  // namespace

std::span<const Kernel> ema() {
  static constexpr Kernel kKernels[] = {{"ema", "vector", accepts_f32, make_step<Ema>}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
