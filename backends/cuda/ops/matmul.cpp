// matmul: one cuBLASLt product, strided over the leading dimensions.

#include "backends/cuda/ops/planned.h"

namespace espalier::cuda::ops {
namespace {

// Row-major y[m,n] = a[m,k] · b[k,n] is column-major y[n,m] = b[n,k] · a[k,m]: the library's A is our b.
MatmulShape shape_of(const Node& node) {
  const bool a_turned = node.flag("transpose_a"), b_turned = node.flag("transpose_b");
  const esp_tensor_type &a = node.in(0), &b = node.in(1), &y = node.out();
  MatmulShape shape;
  shape.m = esp::dim(y, -1), shape.n = esp::dim(y, -2), shape.k = esp::dim(a, a_turned ? -2 : -1);
  shape.transpose_a = b_turned, shape.transpose_b = a_turned;
  shape.lda = esp::dim(b, -1), shape.ldb = esp::dim(a, -1), shape.ldd = shape.m;
  shape.stride_a = shape.k * shape.m, shape.stride_b = shape.k * shape.n, shape.stride_d = shape.m * shape.n;
  shape.batch = shape.stride_d == 0 ? 0 : esp::elements(y) / shape.stride_d;
  shape.dtype = y.dtype;
  return shape;
}

class Matmul final : public Step {
 public:
  Matmul(Device& device, const Node& node) : dtype_(node.out().dtype), plan_(device.seam().plan(shape_of(node)).plan) {}
  void run(Device& device, const Operands& at) override {
    plan_->run(device.stream(), {data(device, at, 1, dtype_), data(device, at, 0, dtype_), nullptr, nullptr, at.out[0]},
               at.workspace);
  }

 private:
  int32_t dtype_;
  PlanPtr<MatmulOperands> plan_;
};

}  // namespace

std::span<const Kernel> matmul() {
  static constexpr Kernel kKernels[] = {
      {"matmul", "cublaslt", accepts_planned<shape_of>, make_planned<Matmul>, plan_workspace<shape_of>}};
  return kKernels;
}

}  // namespace espalier::cuda::ops
