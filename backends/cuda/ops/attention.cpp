// attention and attention_grad: cuDNN's fused kernels, which take f16 and bf16. In f32 both are taken apart into products and
// softmax.

#include "backends/cuda/ops/planned.h"

namespace espalier::cuda::ops {
namespace {

AttentionShape shape_of(const Node& node) {
  const esp_tensor_type &q = node.in(0), &k = node.in(1);
  AttentionShape shape;
  shape.n = esp::dim(q, 0), shape.queries = esp::dim(q, 1), shape.keys = esp::dim(k, 1);
  shape.heads = node.integer("heads");
  shape.head_dim = esp::dim(q, 2) / shape.heads;
  shape.dtype = node.out().dtype;
  shape.gradient = node.op() == "attention_grad";
  return shape;
}

class Attention final : public Step {
 public:
  Attention(Device& device, const Node& node) : shape_(shape_of(node)), plan_(device.seam().plan(shape_).plan) {}
  void run(Device& device, const Operands& at) override {
    const auto get = [&](size_t i) { return data(device, at, i, shape_.dtype); };
    if (shape_.gradient) return run_gradient(device, at, get(0), get(1), get(2), get(3));
    plan_->run(device.stream(), {get(0), get(1), get(2), nullptr, at.out[0], nullptr, nullptr, nullptr}, at.workspace);
  }
  /// dq, dk and dv of each image are joined along the tokens; the library makes them apart where there are several images.
  static uint64_t workspace(const Device& device, const Node& node) {
    const AttentionShape shape = shape_of(node);
    return plan_workspace<shape_of>(device, node) +
           (shape.gradient ? part_bytes(shape, shape.queries) + 2 * part_bytes(shape, shape.keys) : 0);
  }

 private:
  static uint64_t part_bytes(const AttentionShape& shape, int64_t tokens) {
    return rounded(bytes_of(shape.n * tokens * shape.heads * shape.head_dim, shape.dtype));
  }
  void run_gradient(Device& device, const Operands& at, const void* q, const void* k, const void* v, const void* d) const {
    auto* dq = static_cast<char*>(at.workspace);
    char *dk = dq + part_bytes(shape_, shape_.queries), *dv = dk + part_bytes(shape_, shape_.keys);
    plan_->run(device.stream(), {q, k, v, d, nullptr, dq, dk, dv}, dv + part_bytes(shape_, shape_.keys));
    const int64_t width = shape_.heads * shape_.head_dim;
    auto* to = static_cast<char*>(at.out[0]);
    for (int64_t image = 0; image < shape_.n; ++image) {
      const auto join = [&](const char* part, int64_t tokens) {
        const uint64_t bytes = bytes_of(tokens * width, shape_.dtype);
        device.seam().copy(to, part + static_cast<uint64_t>(image) * bytes, bytes);
        to += bytes;
      };
      join(dq, shape_.queries);
      join(dk, shape_.keys);
      join(dv, shape_.keys);
    }
  }

  AttentionShape shape_;
  PlanPtr<AttentionOperands> plan_;
};

}  // namespace

std::span<const Kernel> attention() {
  static constexpr Kernel kKernels[] = {
      {"attention", "cudnn", accepts_planned<shape_of>, make_planned<Attention>, Attention::workspace},
      {"attention_grad", "cudnn", accepts_planned<shape_of>, make_planned<Attention>, Attention::workspace}};
  return kKernels;
}

}  // namespace espalier::cuda::ops
