// reduce_max, reduce_mean, reduce_sum over any dimensions, and squared_norm over all.

#include "backends/cuda/kernels/reduce.h"
#include "backends/cuda/ops/steps.h"

namespace espalier::cuda::ops {
namespace {

using kernels::Reduction;

struct Split {
  kernels::Axes<1> kept, gone;
  explicit Split(const Node& node) {
    const esp_tensor_type& x = node.in(0);
    const bool all = node.op() == "squared_norm" || node.integers("axes").empty();
    std::vector<bool> reduced(static_cast<size_t>(x.rank), all);
    if (!all)
      for (int64_t axis : node.integers("axes")) reduced[static_cast<size_t>(axis < 0 ? axis + x.rank : axis)] = true;
    const auto steps = steps_of(x, x.rank);
    for (size_t d = 0; d < reduced.size(); ++d) (reduced[d] ? gone : kept).add(x.dims[d], {steps[d]});
    kept.finish();
    gone.finish();
  }
};

template <Reduction kKind>
class Reduce final : public Step {
 public:
  explicit Reduce(const Node& node) : dtype_(node.out().dtype), split_(node) {}
  void run(Device& device, const Operands& at) override {
    kernels::reduce(device.stream(), kKind, dtype_, split_.kept, split_.gone, data(device, at, 0, dtype_), at.out[0],
                    at.workspace);
  }

 private:
  int32_t dtype_;
  Split split_;
};

uint64_t workspace(const Device&, const Node& node) {
  const Split split(node);
  return kernels::reduce_bytes(split.kept, split.gone);
}

}  // namespace

std::span<const Kernel> reduce() {
  static constexpr Kernel kKernels[] = {
      {"reduce_max", "own", accepts_floats, make_step<Reduce<Reduction::kMax>>, workspace},
      {"reduce_mean", "own", accepts_floats, make_step<Reduce<Reduction::kMean>>, workspace},
      {"reduce_sum", "own", accepts_floats, make_step<Reduce<Reduction::kSum>>, workspace},
      {"squared_norm", "own", accepts_floats, make_step<Reduce<Reduction::kSquares>>, workspace}};
  return kKernels;
}

}  // namespace espalier::cuda::ops
