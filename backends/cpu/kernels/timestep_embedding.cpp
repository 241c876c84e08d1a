// timestep_embedding: frequencies and angles are rounded to f32 where PyTorch rounds them, sines are taken in double.

#include <cmath>

#include "backends/cpu/kernels/map.h"

namespace espalier::cpu::kernels {
namespace {

class TimestepEmbedding final : public Step {
 public:
  explicit TimestepEmbedding(const Node& node)
      : n_(node.in(0).dims[0]), dim_(node.integer("dim")), cosine_first_(node.flag("flip_sin_to_cos")) {
    const int64_t half = dim_ / 2;
    const auto slope = static_cast<float>(-std::log(node.number("max_period")));
    const auto divisor = static_cast<float>(static_cast<double>(half) - node.number("freq_shift"));
    for (int64_t i = 0; i < half; ++i)
      frequencies_.push_back(static_cast<float>(std::exp(static_cast<double>(slope * static_cast<float>(i) / divisor))));
  }
  void run(Device& device, const Operands& at) override {
    const float* t = device.floats(at, 0);
    auto* out = static_cast<float*>(at.out[0]);
    const auto half = static_cast<int64_t>(frequencies_.size());
    for (int64_t n = 0; n < n_; ++n) {
      float* row = out + n * dim_;
      float *sine = cosine_first_ ? row + half : row, *cosine = cosine_first_ ? row : row + half;
      for (int64_t i = 0; i < half; ++i) {
        const float angle = t[n] * frequencies_[static_cast<size_t>(i)];
        sine[i] = static_cast<float>(std::sin(static_cast<double>(angle)));
        cosine[i] = static_cast<float>(std::cos(static_cast<double>(angle)));
      }
      if (dim_ % 2) row[dim_ - 1] = 0;
    }
  }

 private:
  int64_t n_, dim_;
  bool cosine_first_;
  std::vector<float> frequencies_;
};

}  // namespace

std::span<const Kernel> timestep_embedding() {
  static constexpr Kernel kKernels[] = {{"timestep_embedding", "simple", accepts_f32, make_step<TimestepEmbedding>}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
