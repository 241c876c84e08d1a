// reduce_max, reduce_mean, reduce_sum: each element of the result walks its part of x in order; sums are in double.

#include <cmath>

#include "backends/cpu/kernels/map.h"
#include "backends/cpu/kernels/strides.h"

namespace espalier::cpu::kernels {
namespace {

enum class Kind { kMax, kMean, kSum };

class Reduce final : public Step {
 public:
  explicit Reduce(const Node& node)
      : kind_(node.op() == "reduce_max"    ? Kind::kMax
              : node.op() == "reduce_mean" ? Kind::kMean
                                           : Kind::kSum) {
    const esp_tensor_type& x = node.in(0);
    std::vector<bool> reduced(static_cast<size_t>(x.rank), node.integers("axes").empty());
    for (int64_t axis : node.integers("axes")) reduced[static_cast<size_t>(axis < 0 ? axis + x.rank : axis)] = true;
    const auto steps = steps_of(x, x);
    std::vector<Axis<1>> kept, gone;
    for (size_t i = 0; i < reduced.size(); ++i) (reduced[i] ? gone : kept).push_back({x.dims[i], {steps[i]}});
    kept_ = merge_axes(kept);
    kept_.push_back({1, {}});  // run_offsets leaves the innermost axis to its caller
    gone_ = merge_axes(gone);
    for (size_t i = 0; i + 1 < gone_.size(); ++i) runs_ *= gone_[i].extent;
    count_ = esp::elements(node.out());
  }

  void run(Device& device, const Operands& at) override {
    const float* x = device.floats(at, 0);
    auto* out = static_cast<float*>(at.out[0]);
    const int64_t length = runs_ * gone_.back().extent;
    device.parallel_ranges(count_, std::max<int64_t>(1, kMapGrain / std::max<int64_t>(length, 1)),
                           [&](int64_t begin, int64_t end) {
                             for (int64_t i = begin; i < end; ++i) out[i] = one(x + run_offsets(kept_, i)[0], length);
                           });
  }

 private:
  float one(const float* x, int64_t length) const {
    const int64_t extent = gone_.back().extent, step = gone_.back().step[0];
    double sum = 0;
    float best = -INFINITY;
    for (int64_t run = 0; run < runs_; ++run) {
      const float* from = x + run_offsets(gone_, run)[0];
      for (int64_t i = 0; i < extent; ++i) {
        const float value = from[i * step];
        sum += value;
        best = value > best || std::isnan(value) ? value : best;
      }
    }
    if (kind_ == Kind::kMax) return best;
    return static_cast<float>(kind_ == Kind::kMean ? sum / static_cast<double>(length) : sum);
  }

  Kind kind_;
  std::vector<Axis<1>> kept_, gone_;
  int64_t runs_ = 1, count_ = 0;
};

}  // namespace

std::span<const Kernel> reduce() {
  static constexpr Kernel kKernels[] = {
      {"reduce_max", "simple", accepts_f32, make_step<Reduce>},
      {"reduce_mean", "simple", accepts_f32, make_step<Reduce>},
      {"reduce_sum", "simple", accepts_f32, make_step<Reduce>},
  };
  return kKernels;
}

}  // namespace espalier::cpu::kernels
