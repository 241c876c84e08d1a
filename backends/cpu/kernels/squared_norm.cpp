// squared_norm: sums of fixed tiles, each in double, added in order: the same bits for any number of threads.

#include "backends/cpu/kernels/map.h"

namespace espalier::cpu::kernels {
namespace {

class SquaredNorm final : public Step {
 public:
  explicit SquaredNorm(const Node& node) : count_(esp::elements(node.in(0))), tiles_((count_ + kMapGrain - 1) / kMapGrain) {
    sums_.resize(static_cast<size_t>(tiles_));
  }
  void run(Device& device, const Operands& at) override {
    const float* x = device.floats(at, 0);
    device.parallel(tiles_, [&](int64_t tile, int) {
      const int64_t begin = tile * kMapGrain, end = std::min(begin + kMapGrain, count_);
      double partial[4] = {};
      int64_t i = begin;
      for (; i + 4 <= end; i += 4)
        for (int k = 0; k < 4; ++k) partial[k] += static_cast<double>(x[i + k]) * x[i + k];
      for (; i < end; ++i) partial[0] += static_cast<double>(x[i]) * x[i];
      sums_[static_cast<size_t>(tile)] = (partial[0] + partial[1]) + (partial[2] + partial[3]);
    });
    double sum = 0;
    for (double each : sums_) sum += each;
    *static_cast<float*>(at.out[0]) = static_cast<float>(sum);
  }

 private:
  int64_t count_, tiles_;
  std::vector<double> sums_;
};

}  // namespace

std::span<const Kernel> squared_norm() {
  static constexpr Kernel kKernels[] = {{"squared_norm", "tiles", accepts_f32, make_step<SquaredNorm>}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
