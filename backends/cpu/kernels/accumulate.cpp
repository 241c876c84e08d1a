// accumulate: the state is read and written where it lies.

#include "backends/cpu/kernels/map.h"

namespace espalier::cpu::kernels {
namespace {

class Accumulate final : public Step {
 public:
  explicit Accumulate(const Node& node) : count_(esp::elements(node.out())) {}
  void run(Device& device, const Operands& at) override {
    const float *sum = device.floats(at, 0), *x = device.floats(at, 1);
    auto* out = static_cast<float*>(at.out[0]);
    device.parallel_ranges(count_, kMapGrain, [&](int64_t begin, int64_t end) {
      by_vectors(begin, end, [&](int64_t i, int64_t n) { put(out + i, take(sum + i, n) + take(x + i, n), n); });
    });
  }

 private:
  int64_t count_;
};

}  // namespace

std::span<const Kernel> accumulate() {
  static constexpr Kernel kKernels[] = {{"accumulate", "vector", accepts_f32, make_step<Accumulate>}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
