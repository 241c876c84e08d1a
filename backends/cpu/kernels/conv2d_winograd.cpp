// conv2d and conv2d_grad_input by Winograd's F(4x4, 3x3): 36 products for 16 outputs where the direct form needs 144. Input tiles
// of 6 x 6 pixels and filters are transformed, 36 matrix products follow, and the result is transformed back. Filters grow by
// 36/9 when packed.
//
// Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, arXiv:1509.09308, section 4.3.

#include <utility>

#include "backends/cpu/kernels/conv2d.h"
#include "backends/cpu/kernels/kernels.h"
#include "backends/cpu/product.h"

namespace espalier::cpu::kernels {
namespace {

constexpr int64_t kPoints = 36;
constexpr int64_t kChunkTiles = 256;  // what passes between the three steps stays in the last-level cache
// Below this many tiles a convolution reads its grown filters from memory more than it computes: SDXL's at 16x16 pixels gain
// 5% of a forward for 4 GB of filters, whose first touch takes as long as a whole forward.
constexpr int64_t kLeastChannels = 32, kLeastTiles = 64;

// The polynomials are evaluated at 0, ±a, ±b and infinity. ±5/8 and ±3/2 lose a quarter of what the customary ±1 and ±2
// lose: 3e-6 instead of 1.1e-5 of the largest output at 640 channels (the direct sum: 2e-6).
constexpr float kA = 0.625f, kB = 1.5f, kA2 = kA * kA, kB2 = kB * kB;

// y = Bᵀ d for six values, on vectors.
inline void input_transform(const Vec d[6], Vec y[6]) {
  const Vec even_a = d[4] - d[2] * kB2, odd_a = (d[3] - d[1] * kB2) * kA;
  const Vec even_b = d[4] - d[2] * kA2, odd_b = (d[3] - d[1] * kA2) * kB;
  y[0] = d[0] * (kA2 * kB2) - d[2] * (kA2 + kB2) + d[4];
  y[1] = even_a + odd_a;
  y[2] = even_a - odd_a;
  y[3] = even_b + odd_b;
  y[4] = even_b - odd_b;
  y[5] = d[1] * (kA2 * kB2) - d[3] * (kA2 + kB2) + d[5];
}

// y = G g for three values.
inline void filter_transform(const Vec g[3], Vec y[6]) {
  constexpr float kScaleA = 1.0f / (2.0f * kA2 * (kA2 - kB2)), kScaleB = 1.0f / (2.0f * kB2 * (kB2 - kA2));
  const Vec even_a = (g[0] + g[2] * kA2) * kScaleA, odd_a = g[1] * (kA * kScaleA);
  const Vec even_b = (g[0] + g[2] * kB2) * kScaleB, odd_b = g[1] * (kB * kScaleB);
  y[0] = g[0] * (1.0f / (kA2 * kB2));
  y[1] = even_a + odd_a;
  y[2] = even_a - odd_a;
  y[3] = even_b + odd_b;
  y[4] = even_b - odd_b;
  y[5] = g[2];
}

// y = Aᵀ m for six values.
inline void output_transform(const Vec m[6], Vec y[4]) {
  const Vec sum_a = m[1] + m[2], away_a = m[1] - m[2], sum_b = m[3] + m[4], away_b = m[3] - m[4];
  y[0] = m[0] + sum_a + sum_b;
  y[1] = away_a * kA + away_b * kB;
  y[2] = sum_a * kA2 + sum_b * kB2;
  y[3] = away_a * (kA * kA2) + away_b * (kB * kB2) + m[5];
}

/// A convolution of this shape computes `node`. That of a gradient reads the cotangent through filters that are turned by half a
/// turn, with input and output channels exchanged.
Conv2dShape shape_of(const Node& node) {
  if (node.op() == "conv2d") return Conv2dShape(node);
  Conv2dShape s(node, node.out(), node.in(1), node.in(0));
  std::swap(s.c, s.o);
  std::swap(s.h, s.out_h);
  std::swap(s.width, s.out_w);
  s.top = s.kh - 1 - s.top;
  s.left = s.kw - 1 - s.left;
  return s;
}

struct Tiling {
  explicit Tiling(const Conv2dShape& s) : rows((s.out_h + 3) / 4), columns((s.out_w + 3) / 4), count(s.n * rows * columns) {}
  int64_t rows, columns, count;
};

class Winograd final : public Step {
 public:
  explicit Winograd(const Node& node)
      : gradient_(node.op() != "conv2d"), shape_(shape_of(node)), tiling_(shape_), runs_(Runs::of(1, shape_.c)) {}

  esp::kept_copies kept() const { return kept_weight(panels_of(shape_.o) * kPoints * shape_.c * kPanel, false); }

  void run(Device& device, const Operands& at) override {
    const float* x = device.floats(at, 0);
    const float* bias = shape_.has_bias ? device.floats(at, 2) : nullptr;
    auto* out = static_cast<float*>(at.out[0]);
    auto* inputs = static_cast<float*>(at.workspace);
    float* products = inputs + kPoints * std::min(kChunkTiles, tiling_.count) * shape_.c;
    const int64_t part = kPoints * shape_.c * kPanel;
    // Filters outermost: those that are packed anew at each run are grown once.
    with_packed(
        device, weight_of(at, 1), gradient_ ? "winograd_grad" : "winograd", panels_of(shape_.o), part, false,
        [&](const Weight& weight, int64_t panel, float* to) { pack(weight, panel, to); },
        [&](int64_t first, int64_t last, Packed packed) {
          for (int64_t first_tile = 0; first_tile < tiling_.count; first_tile += kChunkTiles) {
            const int64_t tiles = std::min(kChunkTiles, tiling_.count - first_tile);
            device.parallel(tiles, [&](int64_t t, int) { transform_input(x, first_tile + t, t, tiles, inputs); });
            multiply_points(device, tiles, first, last, packed, inputs, products);
            device.parallel(tiles, [&](int64_t t, int) {
              transform_output(products, first_tile + t, t, tiles, first * kPanel, std::min(last * kPanel, shape_.o), bias, out);
            });
          }
        });
  }

  static uint64_t workspace(const Device&, const Node& node) {
    const Conv2dShape s = shape_of(node);
    return static_cast<uint64_t>(kPoints * std::min(kChunkTiles, Tiling(s).count) * (s.c + s.o)) * 4;
  }

 private:
  // A panel: [point][c][kPanel].
  void pack(const Weight& weight, int64_t panel, float* to) const {
    std::vector<float> filters(static_cast<size_t>(kFilterChannels * 9 * kPanel));
    for (int64_t c = 0; c < shape_.c; c += kFilterChannels) {
      const int64_t channels = std::min(kFilterChannels, shape_.c - c);
      if (gradient_)
        turned_filters(weight, panel, c, channels, filters.data());
      else
        pack_filters(shape_, weight, panel, c, channels, filters.data());
      for (int64_t l = 0; l < channels; ++l)
        for (int v = 0; v < kPanelVecs; ++v) {
          const float* g = filters.data() + l * 9 * kPanel + v * kLanes;
          float* at = to + (c + l) * kPanel + v * kLanes;
          Vec half[6][3];
          for (int j = 0; j < 3; ++j) {
            const Vec column[3] = {load(g + j * kPanel), load(g + (3 + j) * kPanel), load(g + (6 + j) * kPanel)};
            Vec y[6];
            filter_transform(column, y);
            for (int i = 0; i < 6; ++i) half[i][j] = y[i];
          }
          for (int i = 0; i < 6; ++i) {
            Vec y[6];
            filter_transform(half[i], y);
            for (int j = 0; j < 6; ++j) store(at + (i * 6 + j) * shape_.c * kPanel, y[j]);
          }
        }
    }
  }

  // What pack_filters does, for filters that lie as [c][o][9] and are turned.
  void turned_filters(const Weight& weight, int64_t panel, int64_t c, int64_t channels, float* to) const {
    const int64_t first = panel * kPanel, width = std::min<int64_t>(kPanel, shape_.o - first);
    float row[kPanel * 9];
    for (int64_t l = 0; l < channels; ++l, to += 9 * kPanel) {
      widen(weight.data, weight.dtype, ((c + l) * shape_.o + first) * 9, width * 9, row);
      for (int64_t tap = 0; tap < 9; ++tap)
        for (int64_t j = 0; j < kPanel; ++j) to[tap * kPanel + j] = j < width ? row[j * 9 + 8 - tap] : 0.0f;
    }
  }

  // inputs: [point][tile of the chunk][c].
  void transform_input(const float* x, int64_t tile, int64_t slot, int64_t tiles, float* inputs) const {
    const Conv2dShape& s = shape_;
    const int64_t x0 = tile % tiling_.columns * 4 - s.left, y0 = tile / tiling_.columns % tiling_.rows * 4 - s.top;
    const float* image = x + tile / (tiling_.columns * tiling_.rows) * s.h * s.width * s.c;
    for (int64_t c = 0; c < s.c; c += kLanes) {
      const int64_t width = std::min<int64_t>(kLanes, s.c - c);
      Vec half[6][6];
      for (int64_t j = 0; j < 6; ++j) {
        Vec column[6], y[6];
        for (int64_t i = 0; i < 6; ++i) {
          const bool inside = y0 + i >= 0 && y0 + i < s.h && x0 + j >= 0 && x0 + j < s.width;
          const float* pixel = image + ((y0 + i) * s.width + x0 + j) * s.c + c;
          column[i] = !inside ? Vec{} : width == kLanes ? load(pixel) : load_part(pixel, width);
        }
        input_transform(column, y);
        for (int i = 0; i < 6; ++i) half[i][j] = y[i];
      }
      float* to = inputs + slot * s.c + c;
      for (int i = 0; i < 6; ++i) {
        Vec y[6];
        input_transform(half[i], y);
        for (int j = 0; j < 6; ++j, to += tiles * s.c) {
          if (width == kLanes)
            store(to, y[j]);
          else
            store_part(to, y[j], width);
        }
      }
    }
  }

  // products: [point][tile of the chunk][o].
  void multiply_points(Device& device, int64_t tiles, int64_t first, int64_t last, Packed packed, const float* inputs,
                       float* products) const {
    const int64_t blocks = (tiles + kTaskRows - 1) / kTaskRows;
    device.parallel((last - first) * kPoints * blocks, [&](int64_t task, int thread) {
      const int64_t row = task % blocks * kTaskRows, point = task / blocks % kPoints, panel = task / (blocks * kPoints);
      const float* from = inputs + point * tiles * shape_.c;
      float* to = products + point * tiles * shape_.o;
      multiply_block(
          row, std::min<int64_t>(kTaskRows, tiles - row), packed.from((panel * kPoints + point) * shape_.c * kPanel), runs_,
          device.scratch(thread, kBlockScratch),
          [&](int64_t run, int64_t r0, int64_t count, const float** rows) {
            for (int64_t r = 0; r < count; ++r) rows[r] = from + (r0 + r) * shape_.c + runs_.begin[static_cast<size_t>(run)];
          },
          [&](int64_t r0, int rows, const float* acc) { finish_conv2d(shape_, r0, rows, first + panel, acc, nullptr, to); });
    });
  }

  void transform_output(const float* products, int64_t tile, int64_t slot, int64_t tiles, int64_t begin, int64_t end,
                        const float* bias, float* out) const {
    const Conv2dShape& s = shape_;
    const int64_t x0 = tile % tiling_.columns * 4, y0 = tile / tiling_.columns % tiling_.rows * 4;
    float* image = out + tile / (tiling_.columns * tiling_.rows) * s.out_h * s.out_w * s.o;
    const int64_t height = std::min<int64_t>(4, s.out_h - y0), columns = std::min<int64_t>(4, s.out_w - x0);
    for (int64_t o = begin; o < end; o += kLanes) {
      const int64_t width = std::min<int64_t>(kLanes, end - o);
      const float* from = products + slot * s.o + o;
      Vec half[6][4];
      for (int i = 0; i < 6; ++i) {
        Vec row[6];
        for (int j = 0; j < 6; ++j, from += tiles * s.o) row[j] = width == kLanes ? load(from) : load_part(from, width);
        output_transform(row, half[i]);
      }
      const Vec shift = bias ? load_part(bias + o, width) : Vec{};
      for (int64_t j = 0; j < columns; ++j) {
        const Vec column[6] = {half[0][j], half[1][j], half[2][j], half[3][j], half[4][j], half[5][j]};
        Vec y[4];
        output_transform(column, y);
        for (int64_t i = 0; i < height; ++i) store_part(image + ((y0 + i) * s.out_w + x0 + j) * s.o + o, y[i] + shift, width);
      }
    }
  }

  bool gradient_;
  Conv2dShape shape_;
  Tiling tiling_;
  Runs runs_;
};

Verdict accepts(const Device& device, const Node& node) {
  if (Verdict f32 = all_f32(node); !f32) return f32;
  const Conv2dShape s = shape_of(node);
  if (s.kh != 3 || s.kw != 3) return Verdict::no("the filter is not 3x3");
  if (s.stride != 1) return Verdict::no("stride is not 1");
  if (s.top < 0 || s.left < 0) return Verdict::no("the padding is wider than the filter");
  if (s.c == 0 || Tiling(s).count == 0) return Verdict::no("an operand is empty");
  if (device.prefer() == "winograd") return Verdict::ok();  // asked for by name: the rest is a matter of speed
  if (s.c < kLeastChannels || s.o < kLeastChannels) return Verdict::no("fewer than 32 channels");
  if (Tiling(s).count < kLeastTiles)
    return Verdict::no("fewer than 64 tiles of 4x4 pixels: reading the grown filters would dominate");
  return Verdict::ok();
}

}  // namespace

std::span<const Kernel> conv2d_winograd() {
  static constexpr Kernel kKernels[] = {
      {"conv2d", "winograd", accepts, make_step<Winograd>, Winograd::workspace, kept_by<Winograd>},
      {"conv2d_grad_input", "winograd", accepts, make_step<Winograd>, Winograd::workspace, kept_by<Winograd>},
  };
  return kKernels;
}

}  // namespace espalier::cpu::kernels
