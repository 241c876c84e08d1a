// layer_norm, its two gradients, and softmax.

#include "backends/cuda/kernels/layer_norm.h"

#include "backends/cuda/ops/ops.h"

namespace espalier::cuda::ops {
namespace {

class LayerNorm final : public Step {
 public:
  explicit LayerNorm(const Node& node)
      : dtype_(node.out().dtype), shape_(node.out()), eps_(static_cast<float>(node.number("eps"))) {}
  void run(Device& device, const Operands& at) override {
    const auto get = [&](size_t i) { return data(device, at, i, dtype_); };
    kernels::layer_norm(device.stream(), dtype_, get(0), get(1), get(2), at.out[0], shape_.rows, shape_.width, eps_);
  }

 private:
  int32_t dtype_;
  Rows shape_;
  float eps_;
};

class LayerNormGradInput final : public Step {
 public:
  explicit LayerNormGradInput(const Node& node)
      : dtype_(node.out().dtype), shape_(node.out()), has_weight_(node.has(2)), eps_(static_cast<float>(node.number("eps"))) {}
  void run(Device& device, const Operands& at) override {
    const auto get = [&](size_t i) { return data(device, at, i, dtype_); };
    kernels::layer_norm_grad_input(device.stream(), dtype_, get(0), get(1), has_weight_ ? get(2) : nullptr, at.out[0],
                                   shape_.rows, shape_.width, eps_);
  }

 private:
  int32_t dtype_;
  Rows shape_;
  bool has_weight_;
  float eps_;
};

class LayerNormGradAffine final : public Step {
 public:
  explicit LayerNormGradAffine(const Node& node)
      : dtype_(node.out().dtype), shape_(node.in(1)), eps_(static_cast<float>(node.number("eps"))) {}
  static uint64_t workspace(const Device&, const Node& node) {
    const Rows shape(node.in(1));
    return kernels::layer_norm_grad_affine_bytes(shape.rows, shape.width);
  }
  void run(Device& device, const Operands& at) override {
    kernels::layer_norm_grad_affine(device.stream(), dtype_, data(device, at, 0, dtype_), data(device, at, 1, dtype_), at.out[0],
                                    shape_.rows, shape_.width, eps_, at.workspace);
  }

 private:
  int32_t dtype_;
  Rows shape_;
  float eps_;
};

class Softmax final : public Step {
 public:
  explicit Softmax(const Node& node) : dtype_(node.out().dtype), shape_(node.out()) {}
  void run(Device& device, const Operands& at) override {
    kernels::softmax(device.stream(), dtype_, data(device, at, 0, dtype_), at.out[0], shape_.rows, shape_.width);
  }

 private:
  int32_t dtype_;
  Rows shape_;
};

}  // namespace

std::span<const Kernel> layer_norm() {
  static constexpr Kernel kKernels[] = {
      {"layer_norm", "own", accepts_floats, make_step<LayerNorm>},
      {"layer_norm_grad_input", "own", accepts_floats, make_step<LayerNormGradInput>},
      {"layer_norm_grad_affine", "own", accepts_floats, make_step<LayerNormGradAffine>, LayerNormGradAffine::workspace},
      {"softmax", "own", accepts_floats, make_step<Softmax>}};
  return kKernels;
}

}  // namespace espalier::cuda::ops
