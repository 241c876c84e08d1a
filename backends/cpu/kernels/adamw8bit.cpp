// adamw8bit: a task takes whole blocks of 256 elements; moments are f32 only within a block. The op's arithmetic is defined
// to the bit, so this file is compiled without contraction to fused multiply-adds (see CMakeLists.txt).

#include <algorithm>
#include <array>
#include <cmath>

#include "backends/cpu/kernels/map.h"

namespace espalier::cpu::kernels {
namespace {

constexpr int64_t kBlock = 256, kBlocksPerTask = 64;

/// The values of the codes, ascending, and for each code but the first the border to the one before it.
struct Codes {
  std::array<float, 256> values{}, borders{};

  explicit Codes(bool with_sign) {
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
    for (size_t i = 0; i < 256; ++i) values[i] = static_cast<float>(exact[i]);
    for (size_t i = 1; i < 256; ++i) borders[i] = (values[i - 1] + values[i]) * 0.5f;
  }

  /// How many borders lie below x: eight halvings without a branch.
  uint8_t nearest(float x) const {
    size_t code = 0;
    for (size_t half = 128; half != 0; half /= 2) code += x > borders[code + half] ? half : 0;
    return static_cast<uint8_t>(code);
  }
};

class AdamW8bit final : public Step {
 public:
  explicit AdamW8bit(const Node& node)
      : count_(esp::elements(node.in(0))),
        beta1_(static_cast<float>(node.number("beta1"))),
        beta2_(static_cast<float>(node.number("beta2"))),
        rest1_(static_cast<float>(1 - node.number("beta1"))),
        rest2_(static_cast<float>(1 - node.number("beta2"))),
        eps_(static_cast<float>(node.number("eps"))),
        weight_decay_(node.number("weight_decay")) {}

  void run(Device& device, const Operands& at) override {
    const float* hyper = device.floats(at, 6);
    const Numbers numbers{static_cast<float>(1 - static_cast<double>(hyper[0]) * weight_decay_), hyper[1], hyper[0] / hyper[2],
                          1 / std::sqrt(hyper[3])};
    const int64_t blocks = (count_ + kBlock - 1) / kBlock;
    device.parallel((blocks + kBlocksPerTask - 1) / kBlocksPerTask, [&](int64_t task, int) {
      const int64_t end = std::min(blocks, (task + 1) * kBlocksPerTask);
      for (int64_t block = task * kBlocksPerTask; block < end; ++block) step(device, at, block, numbers);
    });
  }

 private:
  struct Numbers {
    float keep, scale, step, root;
  };

  void step(Device& device, const Operands& at, int64_t block, const Numbers& numbers) const {
    static const Codes kSigned(true), kUnsigned(false);
    const int64_t begin = block * kBlock, count = std::min(kBlock, count_ - begin);
    const float *p = device.floats(at, 0) + begin, *g = device.floats(at, 1) + begin;
    const auto *m_codes = static_cast<const uint8_t*>(at.in[2]) + begin, *v_codes = static_cast<const uint8_t*>(at.in[3]) + begin;
    const float m_scale = device.floats(at, 4)[block], v_scale = device.floats(at, 5)[block];
    alignas(64) float m[kBlock], v[kBlock];
    for (int64_t i = 0; i < count; ++i) {
      m[i] = kSigned.values[m_codes[i]] * m_scale;
      v[i] = kUnsigned.values[v_codes[i]] * v_scale;
    }
    auto* new_p = static_cast<float*>(at.out[0]) + begin;
    by_vectors(0, count, [&](int64_t i, int64_t n) {
      const Vec gradient = take(g + i, n) * numbers.scale;
      const Vec first = beta1_ * take(m + i, n) + rest1_ * gradient;
      const Vec second = beta2_ * take(v + i, n) + rest2_ * (gradient * gradient);
      put(new_p + i, take(p + i, n) * numbers.keep - numbers.step * first / (vsqrt(second) * numbers.root + eps_), n);
      put(m + i, first, n);
      put(v + i, second, n);
    });
    float new_m_scale = 0, new_v_scale = 0;
    for (int64_t i = 0; i < count; ++i) {
      new_m_scale = std::max(new_m_scale, std::abs(m[i]));
      new_v_scale = std::max(new_v_scale, v[i]);
    }
    auto *new_m = static_cast<uint8_t*>(at.out[1]) + begin, *new_v = static_cast<uint8_t*>(at.out[2]) + begin;
    for (int64_t i = 0; i < count; ++i) {
      new_m[i] = kSigned.nearest(new_m_scale > 0 ? m[i] / new_m_scale : 0);
      const uint8_t code = kUnsigned.nearest(new_v_scale > 0 ? v[i] / new_v_scale : 0);
      new_v[i] = v[i] > 0 ? std::max<uint8_t>(code, 1) : code;
    }
    static_cast<float*>(at.out[3])[block] = new_m_scale;
    static_cast<float*>(at.out[4])[block] = new_v_scale;
  }

  int64_t count_;
  float beta1_, beta2_, rest1_, rest2_, eps_;
  double weight_decay_;
};

/// Types are the op's own: f32, and u8 codes.
Verdict accepts(const Device&, const Node&) { return Verdict::ok(); }

}  // namespace

std::span<const Kernel> adamw8bit() {
  static constexpr Kernel kKernels[] = {{"adamw8bit", "blocks", accepts, make_step<AdamW8bit>}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
