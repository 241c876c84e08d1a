// group_norm, group_norm_silu and the two gradients.

#include "backends/cuda/kernels/group_norm.h"

#include "backends/cuda/ops/ops.h"

namespace espalier::cuda::ops {
namespace {

using kernels::GroupShape;

GroupShape shape_of(const Node& node) {
  const esp_tensor_type& x = node.op().substr(0, 15) == "group_norm_grad" ? node.in(1) : node.in(0);
  const int64_t n = esp::dim(x, 0), c = esp::dim(x, -1), all = esp::elements(x);
  return {n, n * c == 0 ? 0 : all / (n * c), c, node.integer("groups"), static_cast<float>(node.number("eps"))};
}
uint64_t workspace(const Device&, const Node& node) { return kernels::group_norm_bytes(shape_of(node)); }

Verdict accepts(const Device& device, const Node& node) {
  if (shape_of(node).n > 65535) return Verdict::no("more than 65535 images, which a grid does not count");
  return accepts_floats(device, node);
}

class GroupNorm final : public Step {
 public:
  explicit GroupNorm(const Node& node)
      : dtype_(node.out().dtype), shape_(shape_of(node)), silu_(node.op() == "group_norm_silu") {}
  void run(Device& device, const Operands& at) override {
    const auto get = [&](size_t i) { return data(device, at, i, dtype_); };
    kernels::group_norm(device.stream(), dtype_, shape_, get(0), get(1), get(2), silu_, at.out[0], at.workspace);
  }

 private:
  int32_t dtype_;
  GroupShape shape_;
  bool silu_;
};

class GroupNormGradInput final : public Step {
 public:
  explicit GroupNormGradInput(const Node& node) : dtype_(node.out().dtype), shape_(shape_of(node)), has_weight_(node.has(2)) {}
  void run(Device& device, const Operands& at) override {
    const auto get = [&](size_t i) { return data(device, at, i, dtype_); };
    kernels::group_norm_grad_input(device.stream(), dtype_, shape_, get(0), get(1), has_weight_ ? get(2) : nullptr, at.out[0],
                                   at.workspace);
  }

 private:
  int32_t dtype_;
  GroupShape shape_;
  bool has_weight_;
};

class GroupNormGradAffine final : public Step {
 public:
  explicit GroupNormGradAffine(const Node& node) : dtype_(node.out().dtype), shape_(shape_of(node)) {}
  void run(Device& device, const Operands& at) override {
    kernels::group_norm_grad_affine(device.stream(), dtype_, shape_, data(device, at, 0, dtype_), data(device, at, 1, dtype_),
                                    at.out[0], at.workspace);
  }

 private:
  int32_t dtype_;
  GroupShape shape_;
};

}  // namespace

std::span<const Kernel> group_norm() {
  static constexpr Kernel kKernels[] = {{"group_norm", "own", accepts, make_step<GroupNorm>, workspace},
                                        {"group_norm_silu", "own", accepts, make_step<GroupNorm>, workspace},
                                        {"group_norm_grad_input", "own", accepts, make_step<GroupNormGradInput>, workspace},
                                        {"group_norm_grad_affine", "own", accepts, make_step<GroupNormGradAffine>, workspace}};
  return kKernels;
}

}  // namespace espalier::cuda::ops
