// geglu on its own (after a linear, linear_geglu does it in the product's tiles), and geglu_grad.

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

class GegluGrad final : public Step {
 public:
  explicit GegluGrad(const Node& node)
      : width_(esp::dim(node.in(1), -1)), rows_(esp::elements(node.in(1)) / std::max<int64_t>(width_, 1)) {}
  void run(Device& device, const Operands& at) override {
    const float *x = device.floats(at, 0), *d = device.floats(at, 1);
    auto* out = static_cast<float*>(at.out[0]);
    device.parallel_ranges(rows_, std::max<int64_t>(1, kMapGrain / std::max<int64_t>(width_, 1)),
                           [&](int64_t begin, int64_t end) {
                             for (int64_t r = begin; r < end; ++r) row(x + r * 2 * width_, d + r * width_, out + r * 2 * width_);
                           });
  }

 private:
  void row(const float* x, const float* d, float* out) const {
    for (int64_t i = 0; i < width_; i += kLanes) {
      const int64_t run = std::min<int64_t>(kLanes, width_ - i);
      const Vec value = load_part(x + i, run), gate = load_part(x + width_ + i, run), cotangent = load_part(d + i, run);
      const Vec share = (splat(1.0f) + verf(gate * 0.70710678118654752f)) * 0.5f;
      const Vec density = vexp(gate * gate * -0.5f) * 0.39894228040143267794f;
      store_part(out + i, cotangent * gate * share, run);
      store_part(out + width_ + i, cotangent * value * (share + gate * density), run);
    }
  }

  int64_t width_, rows_;
};

}  // namespace

std::span<const Kernel> geglu() {
  static constexpr Kernel kKernels[] = {{"geglu", "vector", accepts_f32, make_step<Geglu>},
                                        {"geglu_grad", "vector", accepts_f32, make_step<GegluGrad>}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
