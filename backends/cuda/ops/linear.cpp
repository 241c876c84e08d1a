// linear, linear_add, linear_geglu: cuBLASLt with the bias in its epilogue and the residual as C. geglu has a kernel of its own:
// the library's GELU epilogue is the tanh form.

#include "backends/cuda/kernels/geglu.h"
#include "backends/cuda/ops/planned.h"

namespace espalier::cuda::ops {
namespace {

constexpr size_t kX = 0, kWeight = 1, kBias = 2, kResidual = 3;

// Row-major y[rows,o] = x[rows,k] · weight[o,k]ᵀ is column-major y[o,rows] = weight[k,o]ᵀ · x[k,rows].
MatmulShape shape_of(const Node& node) {
  const Rows x(node.in(kX));
  const int64_t o = esp::dim(node.in(kWeight), 0);
  MatmulShape shape;
  shape.transpose_a = true;
  shape.m = o, shape.n = x.rows, shape.k = x.width;
  shape.lda = shape.ldb = x.width, shape.ldd = o;
  shape.dtype = node.out().dtype;
  shape.has_bias = node.has(kBias);
  shape.adds_c = node.op() == "linear_add";
  return shape;
}

class Linear final : public Step {
 public:
  Linear(Device& device, const Node& node)
      : shape_(shape_of(node)), splits_(node.op() == "linear_geglu"), plan_(device.seam().plan(shape_).plan) {}

  /// linear_geglu's product before it is halved comes first.
  static uint64_t workspace(const Device& device, const Node& node) {
    return plan_workspace<shape_of>(device, node) + (node.op() == "linear_geglu" ? wide_bytes(shape_of(node)) : 0);
  }
  void run(Device& device, const Operands& at) override {
    const auto get = [&](size_t i) { return data(device, at, i, shape_.dtype); };
    void* const wide = splits_ ? at.workspace : at.out[0];
    void* const scratch = static_cast<char*>(at.workspace) + (splits_ ? wide_bytes(shape_) : 0);
    const void* const residual = shape_.adds_c ? get(kResidual) : nullptr;
    const void* const bias = shape_.has_bias ? get(kBias) : nullptr;
    plan_->run(device.stream(), {get(kWeight), get(kX), residual, bias, wide}, scratch);
    if (splits_) kernels::geglu(device.stream(), shape_.dtype, wide, at.out[0], shape_.n, shape_.m / 2);
  }

 private:
  static uint64_t wide_bytes(const MatmulShape& shape) { return rounded(bytes_of(shape.m * shape.n, shape.dtype)); }

  MatmulShape shape_;
  bool splits_;
  PlanPtr<MatmulOperands> plan_;
};

}  // namespace

std::span<const Kernel> linear() {
  static constexpr Kernel kKernels[] = {
      {"linear", "cublaslt", accepts_planned<shape_of>, make_planned<Linear>, Linear::workspace},
      {"linear_add", "cublaslt", accepts_planned<shape_of>, make_planned<Linear>, Linear::workspace},
      {"linear_geglu", "cublaslt", accepts_planned<shape_of>, make_planned<Linear>, Linear::workspace}};
  return kKernels;
}

}  // namespace espalier::cuda::ops
