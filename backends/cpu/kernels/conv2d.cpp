// conv2d as a matrix product without an im2col copy. "tiled": every tap of the filter is one run of k, whose rows of A are
// input pixels in place, or a row of zeros outside the image. Few channels make short runs: those gather their patches
// into scratch first.

#include "backends/cpu/kernels/conv2d.h"

#include <cstring>

#include "backends/cpu/kernels/kernels.h"
#include "backends/cpu/product.h"

namespace espalier::cpu::kernels {

Conv2dShape::Conv2dShape(const Node& node, const esp_tensor_type& x, const esp_tensor_type& w, const esp_tensor_type& y) {
  n = x.dims[0], h = x.dims[1], width = x.dims[2], c = x.dims[3];
  o = w.dims[0], kh = w.dims[2], kw = w.dims[3];
  out_h = y.dims[1], out_w = y.dims[2];
  stride = node.integer("stride");
  const auto padding = node.integers("padding");
  top = padding[0], left = padding[1];
}

Conv2dShape::Conv2dShape(const Node& node) : Conv2dShape(node, node.in(0), node.in(1), node.out()) { has_bias = node.has(2); }

void finish_conv2d(const Conv2dShape& shape, int64_t row, int rows, int64_t panel, const float* acc, const float* bias,
                   float* out) {
  for (int v = 0; v < kPanelVecs; ++v) {
    const int64_t column = panel * kPanel + v * kLanes;
    const int64_t width = std::min<int64_t>(kLanes, shape.o - column);
    if (width <= 0) return;
    const Vec shift = bias ? load_part(bias + column, width) : Vec{};
    for (int r = 0; r < rows; ++r)
      store_part(out + (row + r) * shape.o + column, load(acc + r * kPanel + v * kLanes) + shift, width);
  }
}

void pack_filters(const Conv2dShape& s, const Weight& weight, int64_t panel, int64_t c, int64_t channels, float* to) {
  const int64_t taps = s.kh * s.kw;
  pack_panel(
      weight, channels * taps,
      [&](int j) {
        const int64_t o = panel * kPanel + j;
        return o < s.o ? (o * s.c + c) * taps : -1;
      },
      to);
}

void tap_rows(const Conv2dShape& s, const float* x, const float* zeros, int64_t tap, int64_t row, int64_t count,
              const float** to) {
  const int64_t dy = tap / s.kw - s.top, dx = tap % s.kw - s.left;
  int64_t ox = row % s.out_w, oy = row / s.out_w % s.out_h, n = row / (s.out_w * s.out_h);
  for (int64_t r = 0; r < count; ++r) {
    const int64_t y = oy * s.stride + dy, xx = ox * s.stride + dx;
    const bool inside = y >= 0 && y < s.h && xx >= 0 && xx < s.width;
    to[r] = inside ? x + ((n * s.h + y) * s.width + xx) * s.c : zeros;
    if (++ox < s.out_w) continue;
    ox = 0;
    if (++oy < s.out_h) continue;
    oy = 0;
    ++n;
  }
}

namespace {

constexpr int64_t kFewChannels = 32;

// Packs a panel of weight[O,C,kh,kw]: taps outermost, then channels.
void pack_taps(const Conv2dShape& shape, const Weight& weight, int64_t panel, float* to) {
  const int64_t taps = shape.kh * shape.kw;
  std::vector<float> rows(static_cast<size_t>(kFilterChannels * taps * kPanel));
  for (int64_t c = 0; c < shape.c; c += kFilterChannels) {
    const int64_t channels = std::min(kFilterChannels, shape.c - c);
    pack_filters(shape, weight, panel, c, channels, rows.data());
    for (int64_t tap = 0; tap < taps; ++tap)
      for (int64_t l = 0; l < channels; ++l)
        std::memcpy(to + (tap * shape.c + c + l) * kPanel, rows.data() + (l * taps + tap) * kPanel, kPanel * 4);
  }
}

class Tiled final : public Step {
 public:
  explicit Tiled(const Node& node)
      : shape_(node),
        taps_(shape_.kh * shape_.kw),
        gathers_(taps_ > 1 && shape_.c < kFewChannels),
        runs_(gathers_ ? Runs::of(1, taps_ * shape_.c) : Runs::of(taps_, shape_.c)),
        zeros_(static_cast<size_t>(shape_.c), 0.0f) {}

  esp::kept_copies kept() const { return kept_weight(panels_of(shape_.o) * runs_.total * kPanel, true); }

  void run(Device& device, const Operands& at) override {
    const float* x = device.floats(at, 0);
    const float* bias = shape_.has_bias ? device.floats(at, 2) : nullptr;
    auto* out = static_cast<float*>(at.out[0]);
    const int64_t m = shape_.n * shape_.out_h * shape_.out_w;
    if (gathers_) x = gather(device, x, m, static_cast<float*>(at.workspace));
    const int64_t pieces = runs_.count() / taps_, k = taps_ * shape_.c;
    with_packed(
        device, weight_of(at, 1), "taps", panels_of(shape_.o), runs_.total * kPanel, true,
        [&](const Weight& weight, int64_t panel, float* to) { pack_taps(shape_, weight, panel, to); },
        [&](int64_t first, int64_t last, Packed packed) {
          multiply(
              device, m, first, last, packed, runs_,
              [&](int64_t run, int64_t row, int64_t count, const float** rows) {
                const int64_t begin = runs_.begin[static_cast<size_t>(run)];
                if (gathers_) {
                  for (int64_t r = 0; r < count; ++r) rows[r] = x + (row + r) * k + begin;
                  return;
                }
                tap_rows(shape_, x, zeros_.data(), run / pieces, row, count, rows);
                if (begin)
                  for (int64_t r = 0; r < count; ++r)
                    if (rows[r] != zeros_.data()) rows[r] += begin;
              },
              [&](int64_t row, int count, int64_t panel, const float* acc) {
                finish_conv2d(shape_, row, count, panel, acc, bias, out);
              });
        });
  }

  static uint64_t workspace(const Device&, const Node& node) {
    const Conv2dShape s(node);
    if (s.kh * s.kw == 1 || s.c >= kFewChannels) return 0;
    return static_cast<uint64_t>(s.n * s.out_h * s.out_w * s.kh * s.kw * s.c) * 4;
  }

 private:
  const float* gather(Device& device, const float* x, int64_t m, float* patches) const {
    device.parallel_ranges(m, kTaskRows, [&](int64_t begin, int64_t end) {
      const float* rows[kTaskRows];
      for (int64_t tap = 0; tap < taps_; ++tap) {
        tap_rows(shape_, x, zeros_.data(), tap, begin, end - begin, rows);
        for (int64_t r = begin; r < end; ++r)
          std::memcpy(patches + (r * taps_ + tap) * shape_.c, rows[r - begin], static_cast<size_t>(shape_.c) * 4);
      }
    });
    return patches;
  }

  Conv2dShape shape_;
  int64_t taps_;
  bool gathers_;
  Runs runs_;
  std::vector<float> zeros_;
};

Verdict accepts(const Device&, const Node& node) { return all_f32(node); }

}  // namespace

std::span<const Kernel> conv2d() {
  static constexpr Kernel kKernels[] = {{"conv2d", "tiled", accepts, make_step<Tiled>, Tiled::workspace, kept_by<Tiled>}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
