// add, div, maximum, mul, sub with NumPy broadcasting: after merging, the innermost run has each operand either in step
// or constant, which covers equal shapes, a vector of channels and a scalar with one loop.

#include "backends/cpu/kernels/map.h"
#include "backends/cpu/kernels/strides.h"

namespace espalier::cpu::kernels {
namespace {

Vec plus(Vec a, Vec b) { return a + b; }
Vec minus(Vec a, Vec b) { return a - b; }
Vec times(Vec a, Vec b) { return a * b; }
Vec over(Vec a, Vec b) { return a / b; }

using Axes = std::vector<Axis<2>>;

Axes axes_of(const Node& node) {
  const auto a = steps_of(node.in(0), node.out()), b = steps_of(node.in(1), node.out());
  Axes axes;
  for (size_t i = 0; i < a.size(); ++i) axes.push_back({node.out().dims[i], {a[i], b[i]}});
  return merge_axes(axes);
}

template <Vec (*F)(Vec, Vec)>
class Binary final : public Step {
 public:
  explicit Binary(const Node& node) : axes_(axes_of(node)), inner_(axes_.back().extent), rows_(1) {
    for (size_t i = 0; i + 1 < axes_.size(); ++i) rows_ *= axes_[i].extent;
  }

  void run(Device& device, const Operands& at) override {
    const float *a = device.floats(at, 0), *b = device.floats(at, 1);
    auto* out = static_cast<float*>(at.out[0]);
    if (rows_ == 1) {
      device.parallel_ranges(inner_, kMapGrain, [&](int64_t begin, int64_t end) { apply(a, b, out, begin, end); });
      return;
    }
    device.parallel_ranges(rows_, std::max<int64_t>(1, kMapGrain / std::max<int64_t>(inner_, 1)),
                           [&](int64_t begin, int64_t end) {
                             for (int64_t row = begin; row < end; ++row) {
                               const auto from = run_offsets(axes_, row);
                               apply(a + from[0], b + from[1], out + row * inner_, 0, inner_);
                             }
                           });
  }

 private:
  void apply(const float* a, const float* b, float* out, int64_t begin, int64_t end) const {
    const int64_t step_a = axes_.back().step[0], step_b = axes_.back().step[1];
    const auto take = [](const float* p, int64_t step, int64_t i, int64_t count) {
      return step == 0 ? splat(*p) : count == kLanes ? load(p + i) : load_part(p + i, count, 1.0f);
    };
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) store(out + i, F(take(a, step_a, i, kLanes), take(b, step_b, i, kLanes)));
    if (const int64_t rest = end - i; rest > 0) store_part(out + i, F(take(a, step_a, i, rest), take(b, step_b, i, rest)), rest);
  }

  Axes axes_;
  int64_t inner_, rows_;
};

}  // namespace

std::span<const Kernel> elementwise_binary() {
  static constexpr Kernel kKernels[] = {
      {"add", "vector", accepts_f32, make_step<Binary<plus>>},     {"div", "vector", accepts_f32, make_step<Binary<over>>},
      {"maximum", "vector", accepts_f32, make_step<Binary<vmax>>}, {"mul", "vector", accepts_f32, make_step<Binary<times>>},
      {"sub", "vector", accepts_f32, make_step<Binary<minus>>},
  };
  return kKernels;
}

}  // namespace espalier::cpu::kernels
