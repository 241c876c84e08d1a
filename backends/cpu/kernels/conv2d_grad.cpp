// The two gradients of conv2d, each a matrix product without an im2col copy. The input's: every tap is one run of k, whose
// rows of A are result pixels in place. The weight's: for each tap, the transposed cotangent times the input pixels under it.

#include <cstring>

#include "backends/cpu/kernels/conv2d.h"
#include "backends/cpu/kernels/kernels.h"
#include "backends/cpu/product.h"

namespace espalier::cpu::kernels {
namespace {

class GradInput final : public Step {
 public:
  explicit GradInput(const Node& node)
      : shape_(node, node.out(), node.in(1), node.in(0)),
        taps_(shape_.kh * shape_.kw),
        runs_(Runs::of(taps_, shape_.o)),
        zeros_(static_cast<size_t>(shape_.o), 0.0f) {}

  esp::kept_copies kept() const { return kept_weight(panels_of(shape_.c) * runs_.total * kPanel, true); }

  void run(Device& device, const Operands& at) override {
    const float* d = device.floats(at, 0);
    auto* out = static_cast<float*>(at.out[0]);
    const int64_t m = shape_.n * shape_.h * shape_.width, pieces = runs_.count() / taps_;
    with_packed(
        device, weight_of(at, 1), "grad_taps", panels_of(shape_.c), runs_.total * kPanel, true,
        [&](const Weight& weight, int64_t panel, float* to) { pack(weight, panel, to); },
        [&](int64_t first, int64_t last, Packed packed) {
          multiply(
              device, m, first, last, packed, runs_,
              [&](int64_t run, int64_t row, int64_t count, const float** rows) {
                covering_rows(d, run / pieces, row, count, runs_.begin[static_cast<size_t>(run)], rows);
              },
              [&](int64_t row, int count, int64_t panel, const float* acc) {
                store_tile(out, shape_.c, row, count, panel, acc);
              });
        });
  }

 private:
  // A panel of input channels: taps outermost, then output channels. A filter's taps lie together in the file.
  void pack(const Weight& weight, int64_t panel, float* to) const {
    const int64_t first = panel * kPanel, width = std::min<int64_t>(kPanel, shape_.c - first);
    std::vector<float> filters(static_cast<size_t>(width * taps_));
    std::memset(to, 0, static_cast<size_t>(taps_ * shape_.o * kPanel) * 4);
    for (int64_t o = 0; o < shape_.o; ++o) {
      widen(weight.data, weight.dtype, (o * shape_.c + first) * taps_, width * taps_, filters.data());
      for (int64_t tap = 0; tap < taps_; ++tap)
        for (int64_t j = 0; j < width; ++j) to[(tap * shape_.o + o) * kPanel + j] = filters[static_cast<size_t>(j * taps_ + tap)];
    }
  }

  // The result pixel that reads each of `count` input pixels from `row` on under `tap`, from channel `begin` on; zeros
  // where there is none.
  void covering_rows(const float* d, int64_t tap, int64_t row, int64_t count, int64_t begin, const float** to) const {
    const Conv2dShape& s = shape_;
    const int64_t u = tap / s.kw, v = tap % s.kw;
    for (int64_t r = 0; r < count; ++r, ++row) {
      const int64_t y = row / s.width % s.h + s.top - u, x = row % s.width + s.left - v, n = row / (s.width * s.h);
      const int64_t i = y / s.stride, j = x / s.stride;
      const bool covers = y >= 0 && x >= 0 && y % s.stride == 0 && x % s.stride == 0 && i < s.out_h && j < s.out_w;
      to[r] = covers ? d + ((n * s.out_h + i) * s.out_w + j) * s.o + begin : zeros_.data();
    }
  }

  Conv2dShape shape_;
  int64_t taps_;
  Runs runs_;
  std::vector<float> zeros_;
};

class GradWeight final : public Step {
 public:
  explicit GradWeight(const Node& node)
      : shape_(node, node.in(0), node.out(), node.in(1)),
        pixels_(shape_.n * shape_.out_h * shape_.out_w),
        runs_(Runs::of(1, pixels_)),
        zeros_(static_cast<size_t>(shape_.c), 0.0f) {}

  void run(Device& device, const Operands& at) override {
    const float *x = device.floats(at, 0), *d = device.floats(at, 1);
    auto* out = static_cast<float*>(at.out[0]);
    auto* turned = static_cast<float*>(at.workspace);
    float* packed = turned + shape_.o * pixels_;
    const int64_t taps = shape_.kh * shape_.kw, panels = panels_of(shape_.c);
    turn(device, d, pixels_, shape_.o, turned);
    for (int64_t tap = 0; tap < taps; ++tap) {
      device.parallel_ranges(pixels_, kTaskRows, [&](int64_t begin, int64_t end) { pack(x, tap, begin, end, packed); });
      multiply(
          device, shape_.o, 0, panels, Packed{packed, ESP_F32}, runs_,
          [&](int64_t run, int64_t row, int64_t count, const float** rows) {
            for (int64_t r = 0; r < count; ++r) rows[r] = turned + (row + r) * pixels_ + runs_.begin[static_cast<size_t>(run)];
          },
          [&](int64_t row, int rows, int64_t panel, const float* acc) {
            const int64_t first = panel * kPanel, width = std::min<int64_t>(kPanel, shape_.c - first);
            for (int r = 0; r < rows; ++r)
              for (int64_t j = 0; j < width; ++j) out[((row + r) * shape_.c + first + j) * taps + tap] = acc[r * kPanel + j];
          });
    }
  }

  static uint64_t workspace(const Device&, const Node& node) {
    const GradWeight g(node);
    return static_cast<uint64_t>(g.pixels_ * (g.shape_.o + panels_of(g.shape_.c) * kPanel)) * 4;
  }

 private:
  // Input pixels under `tap` of result pixels [begin, end), in panels of kPanel channels.
  void pack(const float* x, int64_t tap, int64_t begin, int64_t end, float* to) const {
    const float* rows[kTaskRows];
    tap_rows(shape_, x, zeros_.data(), tap, begin, end - begin, rows);
    for (int64_t panel = 0; panel < panels_of(shape_.c); ++panel)
      for (int64_t p = begin; p < end; ++p)
        for (int64_t v = 0; v < kPanel; v += kLanes) {
          const int64_t c = panel * kPanel + v, width = std::clamp<int64_t>(shape_.c - c, 0, kLanes);
          store(to + (panel * pixels_ + p) * kPanel + v, width > 0 ? load_part(rows[p - begin] + c, width) : Vec{});
        }
  }

  Conv2dShape shape_;
  int64_t pixels_;
  Runs runs_;
  std::vector<float> zeros_;
};

Verdict accepts(const Device&, const Node& node) { return all_f32(node); }

}  // namespace

std::span<const Kernel> conv2d_grad() {
  static constexpr Kernel kKernels[] = {
      {"conv2d_grad_input", "tiled", accepts, make_step<GradInput>, nullptr, kept_by<GradInput>},
      {"conv2d_grad_weight", "tiled", accepts, make_step<GradWeight>, GradWeight::workspace},
  };
  return kKernels;
}

}  // namespace espalier::cpu::kernels
