// adamw, ema, accumulate.

#include "backends/cuda/kernels/optimizer.h"

#include "backends/cuda/ops/many.h"

namespace espalier::cuda::ops {
namespace {

const float* floats(Device& device, const Operands& at, size_t i) {
  return static_cast<const float*>(data(device, at, i, ESP_F32));
}
kernels::AdamWState adamw_state(Device& device, const Operands& at, int64_t count) {
  const auto in = [&](size_t i) { return floats(device, at, i); };
  const auto out = [&](size_t i) { return static_cast<float*>(at.out[i]); };
  return {in(0), in(1), in(2), in(3), out(0), out(1), out(2), in(4), count};
}
kernels::EmaState ema_state(Device& device, const Operands& at, int64_t count) {
  return {floats(device, at, 0), floats(device, at, 1), floats(device, at, 2), static_cast<float*>(at.out[0]), count};
}

class AdamW final : public Many {
 public:
  AdamW(Device&, std::span<const Node> nodes) : tensors_(nodes, kernels::kAdamWPart), options_(adamw_options(nodes[0])) {}
  void run(Device& device, std::span<const Operands> at) override {
    const auto* states = tensors_.states(device, at, adamw_state);
    kernels::adamw(device.stream(), options_, states, tensors_.chunks(device), tensors_.chunk_count());
  }

 private:
  ManyTensors<kernels::AdamWState> tensors_;
  kernels::AdamWOptions options_;
};

class Ema final : public Many {
 public:
  Ema(Device&, std::span<const Node> nodes) : tensors_(nodes, kernels::kEmaPart) {}
  void run(Device& device, std::span<const Operands> at) override {
    const auto* states = tensors_.states(device, at, ema_state);
    kernels::ema(device.stream(), states, tensors_.chunks(device), tensors_.chunk_count());
  }

 private:
  ManyTensors<kernels::EmaState> tensors_;
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
  static constexpr Kernel kKernels[] = {{"adamw", "own", accepts_f32, make_one<AdamW>, nullptr, nullptr, make_many<AdamW>},
                                        {"ema", "own", accepts_f32, make_one<Ema>, nullptr, nullptr, make_many<Ema>},
                                        {"accumulate", "own", accepts_floats, make_step<Accumulate>}};
  return kKernels;
}

}  // namespace espalier::cuda::ops
