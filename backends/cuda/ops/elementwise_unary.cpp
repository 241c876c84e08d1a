// Every function of one number, those that core calls activations too.

#include <algorithm>

#include "backends/cuda/kernels/unary.h"
#include "backends/cuda/ops/ops.h"

namespace espalier::cuda::ops {
namespace {

using kernels::Unary;

struct Named {
  std::string_view op;
  Unary function;
};
constexpr Named kFunctions[] = {
    {"abs", Unary::kAbs},   {"cos", Unary::kCos}, {"erf", Unary::kErf},     {"exp", Unary::kExp},         {"gelu", Unary::kGelu},
    {"log", Unary::kLog},   {"neg", Unary::kNeg}, {"rsqrt", Unary::kRsqrt}, {"sigmoid", Unary::kSigmoid}, {"sign", Unary::kSign},
    {"silu", Unary::kSilu}, {"sin", Unary::kSin}, {"sqrt", Unary::kSqrt},   {"square", Unary::kSquare},   {"tanh", Unary::kTanh}};

class UnaryStep final : public Step {
 public:
  explicit UnaryStep(const Node& node)
      : function_(std::find_if(std::begin(kFunctions), std::end(kFunctions), [&](const Named& f) { return f.op == node.op(); })
                      ->function),
        dtype_(node.out().dtype),
        count_(esp::elements(node.out())) {}
  void run(Device& device, const Operands& at) override {
    kernels::unary(device.stream(), function_, dtype_, data(device, at, 0, dtype_), at.out[0], count_);
  }

 private:
  Unary function_;
  int32_t dtype_;
  int64_t count_;
};

class SiluGrad final : public Step {
 public:
  explicit SiluGrad(const Node& node) : dtype_(node.out().dtype), count_(esp::elements(node.out())) {}
  void run(Device& device, const Operands& at) override {
    kernels::silu_grad(device.stream(), dtype_, data(device, at, 0, dtype_), data(device, at, 1, dtype_), at.out[0], count_);
  }

 private:
  int32_t dtype_;
  int64_t count_;
};

}  // namespace

std::span<const Kernel> elementwise_unary() {
  static const std::vector<Kernel> all = [] {
    std::vector<Kernel> kernels{{"silu_grad", "own", accepts_floats, make_step<SiluGrad>}};
    for (const Named& f : kFunctions) kernels.push_back({f.op, "own", accepts_floats, make_step<UnaryStep>});
    return kernels;
  }();
  return all;
}

}  // namespace espalier::cuda::ops
