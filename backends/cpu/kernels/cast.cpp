// cast between any two element types, by way of f32 except where the types are equal or f64 and integers would lose digits.

#include <cstring>

#include "backends/cpu/kernels/map.h"
#include "backends/cpu/widen.h"

namespace espalier::cpu::kernels {
namespace {

class Cast final : public Step {
 public:
  explicit Cast(const Node& node) : count_(esp::elements(node.out())), from_(node.in(0).dtype), to_(node.out().dtype) {}
  void run(Device& device, const Operands& at) override {
    const void* x = at.params[0] ? device.floats(at, 0) : at.in[0];
    auto* out = static_cast<char*>(at.out[0]);
    device.parallel_ranges(count_, kMapGrain, [&](int64_t begin, int64_t end) {
      constexpr int64_t kRun = 1024;
      float wide[kRun];
      for (int64_t i = begin; i < end; i += kRun) {
        const int64_t run = std::min(kRun, end - i);
        widen(x, from_, i, run, wide);
        narrow(wide, run, to_, out + i * esp::dtype_bytes(to_));
      }
    });
  }

 private:
  int64_t count_;
  int32_t from_, to_;
};

bool fits_f32(int32_t dtype) {
  return dtype == ESP_F32 || dtype == ESP_F16 || dtype == ESP_BF16 || dtype == ESP_U8 || dtype == ESP_BOOL;
}

Verdict accepts(const Device&, const Node& node) {
  if (!fits_f32(node.in(0).dtype)) return Verdict::no("x has more digits than f32, through which this kernel converts");
  return Verdict::ok();
}

}  // namespace

std::span<const Kernel> cast() {
  static constexpr Kernel kKernels[] = {{"cast", "vector", accepts, make_step<Cast>}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
