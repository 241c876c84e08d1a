// adamw8bit: the tables of codes are made once for a device.

#include "backends/cuda/kernels/adamw8bit.h"

#include <algorithm>
#include <cmath>

#include "backends/cuda/ops/many.h"

namespace espalier::cuda::ops {
namespace {

/// The 256 values, ascending, then the borders between neighbours (dynamic quantisation, arXiv 2110.02861).
std::vector<float> codes(bool with_sign) {
  std::vector<double> exact{0, 1};
  for (int decade = 0; decade < 7; ++decade) {
    const int parts = with_sign ? 1 << decade : 2 << decade;
    for (int k = 0; k < parts; ++k) {
      const double value = (0.1 + 0.9 * (k + 0.5) / parts) * std::pow(10.0, decade - 6);
      exact.push_back(value);
      if (with_sign) exact.push_back(-value);
    }
  }
  std::sort(exact.begin(), exact.end());
  std::vector<float> table(exact.begin(), exact.end());
  table.push_back(0);  // the first code has no border below it
  for (size_t i = 1; i < 256; ++i) table.push_back((table[i - 1] + table[i]) * 0.5f);
  return table;
}

Verdict accepts(const Device&, const Node& node) {
  for (size_t i = 0; i < node.inputs(); ++i)
    if (node.is_param(i)) return Verdict::no("state is not a parameter of the model");
  return Verdict::ok();
}

kernels::AdamW8bitState state_of(Device&, const Operands& at, int64_t count) {
  const auto floats = [&](size_t i) { return static_cast<const float*>(at.in[i]); };
  const auto bytes = [&](size_t i) { return static_cast<const uint8_t*>(at.in[i]); };
  return {floats(0),
          floats(1),
          bytes(2),
          bytes(3),
          floats(4),
          floats(5),
          static_cast<float*>(at.out[0]),
          static_cast<uint8_t*>(at.out[1]),
          static_cast<uint8_t*>(at.out[2]),
          static_cast<float*>(at.out[3]),
          static_cast<float*>(at.out[4]),
          floats(6),
          count};
}

class AdamW8bit final : public Many {
 public:
  AdamW8bit(Device& device, std::span<const Node> nodes)
      : tensors_(nodes, kernels::kAdamW8bitPart),
        options_(adamw_options(nodes[0])),
        tables_{device.constant("codes with sign", [] { return codes(true); }),
                device.constant("codes without sign", [] { return codes(false); })} {}
  void run(Device& device, std::span<const Operands> at) override {
    const auto* states = tensors_.states(device, at, state_of);
    kernels::adamw8bit(device.stream(), options_, tables_, states, tensors_.chunks(device), tensors_.chunk_count());
  }

 private:
  ManyTensors<kernels::AdamW8bitState> tensors_;
  kernels::AdamWOptions options_;
  kernels::CodeTables tables_;
};

}  // namespace

std::span<const Kernel> adamw8bit() {
  static constexpr Kernel kKernels[] = {
      {"adamw8bit", "own", accepts, make_one<AdamW8bit>, nullptr, nullptr, make_many<AdamW8bit>}};
  return kKernels;
}

}  // namespace espalier::cuda::ops
