// adamw, ema, accumulate.

#include "backends/cuda/kernels/optimizer.h"

#include "backends/cuda/ops/many.h"

namespace espalier::cuda::ops {
namespace {

kernels::AdamWOptions options_of(const Node& node) {
  return {static_cast<float>(node.number("beta1")),     static_cast<float>(node.number("beta2")),
          static_cast<float>(1 - node.number("beta1")), static_cast<float>(1 - node.number("beta2")),
          static_cast<float>(node.number("eps")),       node.number("weight_decay")};
}
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

class AdamW final : public Step {
 public:
  explicit AdamW(const Node& node) : count_(esp::elements(node.in(0))), options_(options_of(node)) {}
  void run(Device& device, const Operands& at) override {
    kernels::adamw(device.stream(), options_, adamw_state(device, at, count_));
  }

 private:
  int64_t count_;
  kernels::AdamWOptions options_;
};

class Ema final : public Step {
 public:
  explicit Ema(const Node& node) : count_(esp::elements(node.out())) {}
  void run(Device& device, const Operands& at) override { kernels::ema(device.stream(), ema_state(device, at, count_)); }

 private:
  int64_t count_;
};

/// Of tensors with one set of options: those of one optimizer.
class AdamWMany final : public Many {
 public:
  explicit AdamWMany(std::span<const Node> nodes) : tensors_(nodes, kernels::kAdamWPart), options_(options_of(nodes[0])) {}
  void run(Device& device, std::span<const Operands> at) override {
    const auto* states = tensors_.states(device, at, adamw_state);
    kernels::adamw_many(device.stream(), options_, states, tensors_.chunks(device), tensors_.chunk_count());
  }

 private:
  ManyTensors<kernels::AdamWState> tensors_;
  kernels::AdamWOptions options_;
};

class EmaMany final : public Many {
 public:
  explicit EmaMany(std::span<const Node> nodes) : tensors_(nodes, kernels::kEmaPart) {}
  void run(Device& device, std::span<const Operands> at) override {
    const auto* states = tensors_.states(device, at, ema_state);
    kernels::ema_many(device.stream(), states, tensors_.chunks(device), tensors_.chunk_count());
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
  static constexpr Kernel kKernels[] = {{"adamw", "own", accepts_f32, make_step<AdamW>, nullptr, nullptr, make_many<AdamWMany>},
                                        {"ema", "own", accepts_f32, make_step<Ema>, nullptr, nullptr, make_many<EmaMany>},
                                        {"accumulate", "own", accepts_floats, make_step<Accumulate>}};
  return kKernels;
}

}  // namespace espalier::cuda::ops
