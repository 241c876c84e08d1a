// softmax over the last dimension: maximum, exponentials with their sum, division.

#include "backends/cpu/kernels/map.h"

namespace espalier::cpu::kernels {
namespace {

class Softmax final : public Step {
 public:
  explicit Softmax(const Node& node)
      : c_(esp::dim(node.in(0), -1)), rows_(esp::elements(node.in(0)) / std::max<int64_t>(c_, 1)) {}
  void run(Device& device, const Operands& at) override {
    const float* x = device.floats(at, 0);
    auto* out = static_cast<float*>(at.out[0]);
    device.parallel_ranges(rows_, std::max<int64_t>(1, kMapGrain / std::max<int64_t>(c_, 1)), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) row(x + r * c_, out + r * c_);
    });
  }

 private:
  void row(const float* x, float* out) const {
    Vec highest = splat(x[0]);
    for (int64_t c = 0; c < c_; c += kLanes) highest = vmax(highest, load_part(x + c, std::min<int64_t>(kLanes, c_ - c), x[0]));
    const Vec best = splat(reduce_max(highest));
    Vec sum{};
    for (int64_t c = 0; c < c_; c += kLanes) {
      const int64_t width = std::min<int64_t>(kLanes, c_ - c);
      const Vec y = vexp(load_part(x + c, width) - best);
      store_part(out + c, y, width);
      sum += load_part(out + c, width);
    }
    const Vec inverse = splat(1.0f / reduce_add(sum));
    for (int64_t c = 0; c < c_; c += kLanes) {
      const int64_t width = std::min<int64_t>(kLanes, c_ - c);
      store_part(out + c, load_part(out + c, width) * inverse, width);
    }
  }

  int64_t c_, rows_;
};

}  // namespace

std::span<const Kernel> softmax() {
  static constexpr Kernel kKernels[] = {{"softmax", "vector", accepts_f32, make_step<Softmax>}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
