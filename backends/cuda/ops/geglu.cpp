#include "backends/cuda/kernels/geglu.h"

#include "backends/cuda/ops/ops.h"

namespace espalier::cuda::ops {
namespace {

class Geglu final : public Step {
 public:
  explicit Geglu(const Node& node) : dtype_(node.out().dtype), shape_(node.out()) {}
  void run(Device& device, const Operands& at) override {
    kernels::geglu(device.stream(), dtype_, data(device, at, 0, dtype_), at.out[0], shape_.rows, shape_.width);
  }

 private:
  int32_t dtype_;
  Rows shape_;
};

class GegluGrad final : public Step {
 public:
  explicit GegluGrad(const Node& node) : dtype_(node.out().dtype), shape_(node.in(1)) {}
  void run(Device& device, const Operands& at) override {
    kernels::geglu_grad(device.stream(), dtype_, data(device, at, 0, dtype_), data(device, at, 1, dtype_), at.out[0], shape_.rows,
                        shape_.width);
  }

 private:
  int32_t dtype_;
  Rows shape_;
};

}  // namespace

std::span<const Kernel> geglu() {
  static constexpr Kernel kKernels[] = {{"geglu", "own", accepts_floats, make_step<Geglu>},
                                        {"geglu_grad", "own", accepts_floats, make_step<GegluGrad>}};
  return kKernels;
}

}  // namespace espalier::cuda::ops
