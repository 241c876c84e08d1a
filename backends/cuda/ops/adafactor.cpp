// adafactor and adafactor_vector. `hyper` stays in device memory.

#include "backends/cuda/kernels/adafactor.h"

#include "backends/cuda/ops/ops.h"

namespace espalier::cuda::ops {
namespace {

kernels::AdafactorOptions options_of(const Node& node) {
  return {static_cast<float>(node.number("eps")), node.number("min_rms"), node.number("clip_rms"), node.number("weight_decay")};
}

class Matrix final : public Step {
 public:
  explicit Matrix(const Node& node)
      : options_(options_of(node)), rows_(esp::elements(node.in(2))), columns_(esp::elements(node.in(3))) {}
  static uint64_t workspace(const Device&, const Node& node) {
    return kernels::adafactor_workspace_bytes(esp::elements(node.in(2)), esp::elements(node.in(3)));
  }
  void run(Device& device, const Operands& at) override {
    const auto in = [&](size_t i) { return static_cast<const float*>(data(device, at, i, ESP_F32)); };
    const auto out = [&](size_t i) { return static_cast<float*>(at.out[i]); };
    kernels::adafactor(device.stream(), options_, {in(0), in(1), in(2), in(3), in(4), out(0), out(1), out(2)}, rows_, columns_,
                       at.workspace);
  }

 private:
  kernels::AdafactorOptions options_;
  int64_t rows_, columns_;
};

class Vector final : public Step {
 public:
  explicit Vector(const Node& node) : options_(options_of(node)), count_(esp::elements(node.in(0))) {}
  static uint64_t workspace(const Device&, const Node& node) {
    return kernels::adafactor_vector_workspace_bytes(esp::elements(node.in(0)));
  }
  void run(Device& device, const Operands& at) override {
    const auto in = [&](size_t i) { return static_cast<const float*>(data(device, at, i, ESP_F32)); };
    const auto out = [&](size_t i) { return static_cast<float*>(at.out[i]); };
    kernels::adafactor_vector(device.stream(), options_, {in(0), in(1), in(2), in(3), out(0), out(1)}, count_, at.workspace);
  }

 private:
  kernels::AdafactorOptions options_;
  int64_t count_;
};

}  // namespace

std::span<const Kernel> adafactor() {
  static constexpr Kernel kKernels[] = {{"adafactor", "own", accepts_f32, make_step<Matrix>, Matrix::workspace},
                                        {"adafactor_vector", "own", accepts_f32, make_step<Vector>, Vector::workspace}};
  return kKernels;
}

}  // namespace espalier::cuda::ops
