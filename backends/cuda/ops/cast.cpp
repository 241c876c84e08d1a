#include "backends/cuda/kernels/cast.h"

#include "backends/cuda/ops/ops.h"

namespace espalier::cuda::ops {
namespace {

class Cast final : public Step {
 public:
  explicit Cast(const Node& node) : from_(node.in(0).dtype), to_(node.out().dtype), count_(esp::elements(node.out())) {}
  static Verdict accepts(const Device&, const Node& node) {
    if (!is_floating(node.in(0).dtype) || !is_floating(node.out().dtype))
      return Verdict::no("it casts between f32, f16 and bf16");
    return Verdict::ok();
  }
  void run(Device& device, const Operands& at) override {
    kernels::cast(device.stream(), from_, data(device, at, 0, from_), to_, at.out[0], count_);
  }

 private:
  int32_t from_, to_;
  int64_t count_;
};

}  // namespace

std::span<const Kernel> cast() {
  static constexpr Kernel kKernels[] = {{"cast", "own", Cast::accepts, make_step<Cast>}};
  return kKernels;
}

}  // namespace espalier::cuda::ops
