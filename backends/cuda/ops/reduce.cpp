// reduce_max, reduce_mean, reduce_sum over any dimensions, and squared_norm over all.

#include "backends/cuda/kernels/reduce.h"
#include "backends/cuda/ops/many.h"
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

/// squared_norm of many tensors of f32; the sums of their stripes are in memory of its own.
class SquaredNorms final : public Many {
 public:
  SquaredNorms(Device& device, std::span<const Node> nodes) {
    uint64_t all = 0;
    for (size_t i = 0; i < nodes.size(); ++i) {
      kernels::SquaresState state{};
      kernels::stripe(state, esp::elements(nodes[i].in(0)));
      for (int64_t part = 0; part < state.stripes; ++part)
        stripe_list_.push_back({static_cast<unsigned>(i), static_cast<unsigned>(part)});
      tensor_list_.push_back({static_cast<unsigned>(i), 0});
      all += static_cast<uint64_t>(state.stripes);
      states_.push_back(state);
    }
    partial_ = device.allocate(all * sizeof(float));
    auto* next = static_cast<float*>(partial_->data());
    for (kernels::SquaresState& state : states_) state.partial = next, next += state.stripes;
  }
  void run(Device& device, std::span<const Operands> at) override {
    for (size_t i = 0; i < at.size(); ++i) {
      states_[i].x = static_cast<const float*>(data(device, at[i], 0, ESP_F32));
      states_[i].out = static_cast<float*>(at[i].out[0]);
    }
    kernels::squared_norms(device.stream(), on_device_.on(device, states_), stripes_.on(device, stripe_list_),
                           static_cast<unsigned>(stripe_list_.size()), tensors_.on(device, tensor_list_),
                           static_cast<unsigned>(tensor_list_.size()));
  }

 private:
  std::vector<kernels::SquaresState> states_;
  std::vector<kernels::Chunk> stripe_list_, tensor_list_;
  std::unique_ptr<Memory> partial_;
  DeviceArray<kernels::SquaresState> on_device_;
  DeviceArray<kernels::Chunk> stripes_, tensors_;
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
      {"squared_norm", "own", accepts_f32, make_one<SquaredNorms>, nullptr, nullptr, make_many<SquaredNorms>},
      {"squared_norm", "own", accepts_floats, make_step<Reduce<Reduction::kSquares>>, workspace}};
  return kKernels;
}

}  // namespace espalier::cuda::ops
