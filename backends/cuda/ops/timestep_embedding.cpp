#include "backends/cuda/kernels/timestep_embedding.h"

#include <cmath>

#include "backends/cuda/ops/ops.h"

namespace espalier::cuda::ops {
namespace {

class TimestepEmbedding final : public Step {
 public:
  explicit TimestepEmbedding(const Node& node)
      : dtype_(node.in(0).dtype),
        n_(node.in(0).dims[0]),
        dim_(node.integer("dim")),
        cosine_first_(node.flag("flip_sin_to_cos")),
        slope_(static_cast<float>(-std::log(node.number("max_period")))),
        divisor_(static_cast<float>(static_cast<double>(dim_ >> 1) - node.number("freq_shift"))) {}
  void run(Device& device, const Operands& at) override {
    kernels::timestep_embedding(device.stream(), dtype_, data(device, at, 0, dtype_), static_cast<float*>(at.out[0]), n_, dim_,
                                cosine_first_, slope_, divisor_);
  }

 private:
  int32_t dtype_;
  int64_t n_, dim_;
  bool cosine_first_;
  float slope_, divisor_;
};

Verdict accepts(const Device&, const Node& node) { return accepts_types(node, {node.in(0).dtype}, ESP_F32); }

}  // namespace

std::span<const Kernel> timestep_embedding() {
  static constexpr Kernel kKernels[] = {{"timestep_embedding", "own", accepts, make_step<TimestepEmbedding>}};
  return kKernels;
}

}  // namespace espalier::cuda::ops
