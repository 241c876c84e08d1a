// adamw, ema, accumulate.

#include "backends/cuda/kernels/optimizer.h"

#include "backends/cuda/ops/ops.h"

namespace espalier::cuda::ops {
namespace {

class AdamW final : public Step {
 public:
  explicit AdamW(const Node& node)
      : count_(esp::elements(node.in(0))), options_{static_cast<float>(node.number("beta1")),
                                                    static_cast<float>(node.number("beta2")),
                                                    static_cast<float>(1 - node.number("beta1")),
                                                    static_cast<float>(1 - node.number("beta2")),
                                                    static_cast<float>(node.number("eps")),
                                                    node.number("weight_decay")} {}
  void run(Device& device, const Operands& at) override {
    const auto get = [&](size_t i) { return static_cast<const float*>(data(device, at, i, ESP_F32)); };
    const auto to = [&](size_t i) { return static_cast<float*>(at.out[i]); };
    kernels::adamw(device.stream(), options_, get(4), get(0), get(1), get(2), get(3), to(0), to(1), to(2), count_);
  }

 private:
  int64_t count_;
  kernels::AdamWOptions options_;
};

class Ema final : public Step {
 public:
  explicit Ema(const Node& node) : count_(esp::elements(node.out())) {}
  void run(Device& device, const Operands& at) override {
    const auto get = [&](size_t i) { return static_cast<const float*>(data(device, at, i, ESP_F32)); };
    kernels::ema(device.stream(), get(0), get(1), get(2), static_cast<float*>(at.out[0]), count_);
  }

 private:
  int64_t count_;
};

class Accumulate final : public Step {
 public:
  explicit Accumulate(const Node& node) : dtype_(node.out().dtype), count_(esp::elements(node.out())) {}
  void run(Device& device, const Operands& at) override {
    kernels::accumulate(device.stream(), dtype_, data(device, at, 0, dtype_), data(device, at, 1, dtype_), at.out[0], count_);
  }

 private:
  int32_t dtype_;
  int64_t count_;
};

}  // namespace

std::span<const Kernel> optimizer() {
  static constexpr Kernel kKernels[] = {{"adamw", "own", accepts_f32, make_step<AdamW>},
                                        {"ema", "own", accepts_f32, make_step<Ema>},
                                        {"accumulate", "own", accepts_floats, make_step<Accumulate>}};
  return kKernels;
}

}  // namespace espalier::cuda::ops
