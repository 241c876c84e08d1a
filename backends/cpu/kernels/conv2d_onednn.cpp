// conv2d on oneDNN's direct convolution, NHWC with blocked weights. A task is a band of rows of the result with the rows of
// the image that it needs: both lie in one piece in NHWC. Bands at the top and bottom have padding of their own.

#include <map>

#include "backends/cpu/kernels/conv2d.h"
#include "backends/cpu/kernels/kernels.h"
#include "backends/cpu/widen.h"

namespace espalier::cpu::kernels {

#if defined(ESPALIER_CPU_ONEDNN)
namespace {

constexpr int64_t kPixels = 256;  // of one band, about

class OneDnn final : public Step {
 public:
  explicit OneDnn(const Node& node)
      : s_(node),
        band_rows_(std::clamp<int64_t>(kPixels / s_.out_w, 1, s_.out_h)),
        weight_(onednn::any({s_.o, s_.c, s_.kh, s_.kw})) {
    for (int64_t y = 0; y < s_.out_h; y += band_rows_) {
      const Band band = band_at(y);
      if (!variants_.count(band.key())) variants_.emplace(band.key(), make_variant(band));
    }
  }

  esp::kept_copies kept() const { return kept_weight(packed_floats(), false); }

  void run(Device& device, const Operands& at) override {
    const float* x = device.floats(at, 0);
    const float* bias = s_.has_bias ? device.floats(at, 2) : nullptr;
    auto* out = static_cast<float*>(at.out[0]);
    const int64_t bands = (s_.out_h + band_rows_ - 1) / band_rows_;
    with_packed(
        device, weight_of(at, 1), "onednn.conv", 1, packed_floats(), false,
        [&](const Weight& weight, int64_t, float* to) { pack(weight, to); },
        [&](int64_t, int64_t, Packed copy) {
          const auto* packed = static_cast<const float*>(copy.data);
          device.parallel(s_.n * bands, [&](int64_t task, int thread) {
            const Band band = band_at(task % bands * band_rows_);
            const Variant& v = variants_.at(band.key());
            const int64_t n = task / bands;
            float* scratch = device.scratch(thread, static_cast<int64_t>(v.about.scratchpad_desc().get_size() / 4) + 1);
            onednn::run(v.primitive, v.about.src_desc(), x + (n * s_.h + band.first) * s_.width * s_.c, weight_, packed,
                        bias_desc(), bias, v.about.dst_desc(), out + (n * s_.out_h + band.y) * s_.out_w * s_.o,
                        v.about.scratchpad_desc(), scratch);
          });
        });
  }

 private:
  int64_t packed_floats() const { return static_cast<int64_t>(weight_.get_size() + 3) / 4; }
  struct Band {
    int64_t y, rows;         // of the result
    int64_t first, in_rows;  // of the image
    int64_t above, below;    // rows of padding
    std::array<int64_t, 4> key() const { return {rows, in_rows, above, below}; }
  };
  struct Variant {
    dnnl::convolution_forward::primitive_desc about;
    dnnl::convolution_forward primitive;
  };

  Band band_at(int64_t y) const {
    const int64_t rows = std::min(band_rows_, s_.out_h - y);
    const int64_t begin = y * s_.stride - s_.top, end = (y + rows - 1) * s_.stride - s_.top + s_.kh;
    const int64_t first = std::clamp<int64_t>(begin, 0, s_.h), last = std::clamp<int64_t>(end, 0, s_.h);
    return {y, rows, first, last - first, first - begin, end - last};
  }
  onednn::Desc bias_desc() const { return s_.has_bias ? onednn::strided({s_.o}, {1}) : onednn::Desc(); }

  Variant make_variant(const Band& band) {
    const int64_t right = std::max<int64_t>(0, (s_.out_w - 1) * s_.stride - s_.left + s_.kw - s_.width);
    Variant v;
    v.about =
        onednn::convolution(onednn::nhwc({1, s_.c, band.in_rows, s_.width}), weight_, bias_desc(),
                            onednn::nhwc({1, s_.o, band.rows, s_.out_w}), s_.stride, {band.above, s_.left}, {band.below, right});
    weight_ = v.about.weights_desc();  // the first band's choice holds for all
    v.primitive = dnnl::convolution_forward(v.about);
    return v;
  }

  void pack(const Weight& weight, float* to) const {
    const int64_t taps = s_.kh * s_.kw;
    std::vector<float> plain(static_cast<size_t>(s_.o * s_.c * taps));
    widen(weight.data, weight.dtype, 0, s_.o * s_.c * taps, plain.data());
    onednn::reorder(onednn::strided({s_.o, s_.c, s_.kh, s_.kw}, {s_.c * taps, taps, s_.kw, 1}), plain.data(), weight_, to);
  }

  Conv2dShape s_;
  int64_t band_rows_;
  onednn::Desc weight_;
  std::map<std::array<int64_t, 4>, Variant> variants_;
};

Verdict accepts(const Device&, const Node& node) {
  const Conv2dShape s(node);
  if (s.n * s.out_h * s.out_w * s.o * s.c == 0) return Verdict::no("an operand is empty");
  if (s.left >= s.kw || s.top >= s.kh) return Verdict::no("padding is wider than the filter");
  return all_f32(node);
}

}  // namespace

std::span<const Kernel> conv2d_onednn() {
  static constexpr Kernel kKernels[] = {{"conv2d", "onednn", accepts, make_step<OneDnn>, nullptr, kept_by<OneDnn>}};
  return kKernels;
}
#else
std::span<const Kernel> conv2d_onednn() { return {}; }
#endif

}  // namespace espalier::cpu::kernels
