// add, div, maximum, mul, sub with NumPy broadcasting, and gate.

#include "backends/cuda/kernels/binary.h"
#include "backends/cuda/ops/steps.h"

namespace espalier::cuda::ops {
namespace {

using kernels::Binary;

template <Binary kFunction>
class BinaryStep final : public Step {
 public:
  explicit BinaryStep(const Node& node) : dtype_(node.out().dtype) {
    const auto a = steps_of(node.in(0), node.out().rank), c = steps_of(node.in(1), node.out().rank);
    for (size_t d = 0; d < a.size(); ++d) axes_.add(node.out().dims[d], {a[d], c[d]});
    axes_.finish();
  }
  void run(Device& device, const Operands& at) override {
    kernels::binary(device.stream(), kFunction, dtype_, axes_, data(device, at, 0, dtype_), data(device, at, 1, dtype_),
                    at.out[0]);
  }

 private:
  int32_t dtype_;
  kernels::Axes<2> axes_;
};

class Gate final : public Step {
 public:
  explicit Gate(const Node& node) : dtype_(node.out().dtype), index_(node.integer("index")), count_(esp::elements(node.out())) {}
  void run(Device& device, const Operands& at) override {
    const auto get = [&](size_t i) { return data(device, at, i, dtype_); };
    kernels::gate(device.stream(), dtype_, get(0), get(1), static_cast<const float*>(data(device, at, 2, ESP_F32)), index_,
                  at.out[0], count_);
  }

 private:
  int32_t dtype_;
  int64_t index_, count_;
};

Verdict accepts_gate(const Device&, const Node& node) {
  const int32_t dtype = node.out().dtype;
  return accepts_types(node, {dtype, dtype, ESP_F32}, dtype);
}

}  // namespace

std::span<const Kernel> elementwise_binary() {
  static constexpr Kernel kKernels[] = {{"add", "own", accepts_floats, make_step<BinaryStep<Binary::kAdd>>},
                                        {"div", "own", accepts_floats, make_step<BinaryStep<Binary::kDiv>>},
                                        {"maximum", "own", accepts_floats, make_step<BinaryStep<Binary::kMaximum>>},
                                        {"mul", "own", accepts_floats, make_step<BinaryStep<Binary::kMul>>},
                                        {"sub", "own", accepts_floats, make_step<BinaryStep<Binary::kSub>>},
                                        {"gate", "own", accepts_gate, make_step<Gate>}};
  return kKernels;
}

}  // namespace espalier::cuda::ops
