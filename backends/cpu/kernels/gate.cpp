// gate: x + g (y - x). A gate of exactly zero copies x and reads no y.

#include <cstring>

#include "backends/cpu/kernels/map.h"

namespace espalier::cpu::kernels {
namespace {

class Gate final : public Step {
 public:
  explicit Gate(const Node& node) : count_(esp::elements(node.out())), index_(node.integer("index")) {}
  void run(Device& device, const Operands& at) override {
    const float *x = device.floats(at, 0), *y = device.floats(at, 1);
    const float gate = device.floats(at, 2)[index_];
    auto* out = static_cast<float*>(at.out[0]);
    if (gate == 0) {
      if (out != x)
        device.parallel_ranges(count_, kMapGrain, [&](int64_t begin, int64_t end) {
          std::memcpy(out + begin, x + begin, static_cast<size_t>(end - begin) * 4);
        });
      return;
    }
    device.parallel_ranges(count_, kMapGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = x[i] + gate * (y[i] - x[i]);
    });
  }

 private:
  int64_t count_, index_;
};

}  // namespace

std::span<const Kernel> gate() {
  static constexpr Kernel kKernels[] = {{"gate", "vector", accepts_f32, make_step<Gate>}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
