// geglu on its own; after a linear, linear_geglu does it in the product's tiles.

#include "backends/cpu/kernels/map.h"

namespace espalier::cpu::kernels {
namespace {

class Geglu final : public Step {
 public:
  explicit Geglu(const Node& node)
      : width_(esp::dim(node.out(), -1)), rows_(esp::elements(node.out()) / std::max<int64_t>(width_, 1)) {}
  void run(Device& device, const Operands& at) override {
    const float* x = device.floats(at, 0);
    auto* out = static_cast<float*>(at.out[0]);
    device.parallel_ranges(rows_, std::max<int64_t>(1, kMapGrain / width_), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const float *value = x + row * 2 * width_, *gate = value + width_;
        float* to = out + row * width_;
        int64_t i = 0;
        for (; i + kLanes <= width_; i += kLanes) store(to + i, load(value + i) * vgelu(load(gate + i)));
        if (const int64_t rest = width_ - i; rest > 0)
          store_part(to + i, load_part(value + i, rest) * vgelu(load_part(gate + i, rest)), rest);
      }
    });
  }

 private:
  int64_t width_, rows_;
};

}  // namespace

std::span<const Kernel> geglu() {
  static constexpr Kernel kKernels[] = {{"geglu", "vector", accepts_f32, make_step<Geglu>}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
