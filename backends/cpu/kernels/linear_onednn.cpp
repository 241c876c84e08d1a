// linear and linear_add on oneDNN's matmul: fixed tiles of rows and columns, weights in the layout that it asks for.

#include <cstring>

#include "backends/cpu/kernels/kernels.h"
#include "backends/cpu/product.h"
#include "backends/cpu/widen.h"

namespace espalier::cpu::kernels {

#if defined(ESPALIER_CPU_ONEDNN)
namespace {

constexpr int64_t kRows = 128, kColumns = 256;

class OneDnn final : public Step {
 public:
  explicit OneDnn(const Node& node)
      : k_(esp::dim(node.in(0), -1)),
        m_(esp::elements(node.in(0)) / k_),
        width_(esp::dim(node.out(), -1)),
        has_bias_(node.has(2)),
        adds_(node.op() == "linear_add") {
    for (int64_t column = 0; column < width_; column += kColumns) {
      const int64_t columns = std::min(kColumns, width_ - column);
      if (!layouts_.empty() && layouts_.back().columns == columns) continue;
      layouts_.push_back(make_layout(columns));
    }
  }

  esp::kept_copies kept() const { return kept_weight(parts_of_width() * floats_of_part(), false); }

  void run(Device& device, const Operands& at) override {
    const float* x = device.floats(at, 0);
    const float* bias = has_bias_ ? device.floats(at, 2) : nullptr;
    const float* residual = adds_ ? device.floats(at, 3) : nullptr;
    auto* out = static_cast<float*>(at.out[0]);
    const int64_t parts = parts_of_width(), blocks = (m_ + kRows - 1) / kRows, part_floats = floats_of_part();
    with_packed(
        device, weight_of(at, 1), "onednn." + std::to_string(std::min(m_, kRows)), parts, part_floats, false,
        [&](const Weight& weight, int64_t part, float* to) { pack(weight, part, to); },
        [&](int64_t first, int64_t last, Packed copy) {
          const auto* packed = static_cast<const float*>(copy.data);
          device.parallel(blocks * (last - first), [&](int64_t task, int thread) {
            const int64_t part = first + task / blocks, row = task % blocks * kRows;
            multiply(device, thread, x, packed + (part - first) * part_floats, part, row, bias, residual, out);
          });
        });
  }

 private:
  int64_t parts_of_width() const { return (width_ + kColumns - 1) / kColumns; }
  int64_t floats_of_part() const { return static_cast<int64_t>(layouts_.front().weight.get_size() + 3) / 4; }
  struct Tile {
    int64_t rows = 0;
    dnnl::matmul::primitive_desc about;
    dnnl::matmul primitive;
  };
  struct Layout {
    int64_t columns = 0;
    onednn::Desc weight, bias;
    std::vector<Tile> tiles;  // whole blocks of rows, and the rest
  };

  Layout make_layout(int64_t columns) const {
    Layout layout{
        columns, onednn::any({k_, columns}), has_bias_ ? onednn::strided({1, columns}, {columns, 1}) : onednn::Desc(), {}};
    for (int64_t rows : {std::min(m_, kRows), m_ % kRows}) {
      if (rows == 0 || (!layout.tiles.empty() && layout.tiles[0].rows == rows)) continue;
      Tile tile;
      tile.rows = rows;
      tile.about = onednn::matmul(onednn::strided({rows, k_}, {k_, 1}), layout.weight, layout.bias,
                                  onednn::strided({rows, columns}, {width_, 1}));
      layout.weight = tile.about.weights_desc();  // the first tile's choice holds for all
      tile.primitive = dnnl::matmul(tile.about);
      layout.tiles.push_back(std::move(tile));
    }
    return layout;
  }
  const Layout& layout_of(int64_t part) const {
    const int64_t columns = std::min(kColumns, width_ - part * kColumns);
    return layouts_.front().columns == columns ? layouts_.front() : layouts_.back();
  }

  void pack(const Weight& weight, int64_t part, float* to) const {
    const Layout& layout = layout_of(part);
    std::vector<float> plain(static_cast<size_t>(layout.columns * k_));
    widen(weight.data, weight.dtype, part * kColumns * k_, layout.columns * k_, plain.data());
    onednn::reorder(onednn::strided({k_, layout.columns}, {1, k_}), plain.data(), layout.weight, to);
  }

  void multiply(Device& device, int thread, const float* x, const float* packed, int64_t part, int64_t row, const float* bias,
                const float* residual, float* out) const {
    const Layout& layout = layout_of(part);
    const int64_t rows = std::min(kRows, m_ - row), column = part * kColumns;
    const Tile& tile = layout.tiles[0].rows == rows ? layout.tiles[0] : layout.tiles[1];
    float* to = out + row * width_ + column;
    const auto& about = tile.about;
    float* scratch = device.scratch(thread, static_cast<int64_t>(about.scratchpad_desc().get_size() / 4) + 1);
    onednn::run(tile.primitive, about.src_desc(), x + row * k_, layout.weight, packed, layout.bias,
                bias ? bias + column : nullptr, about.dst_desc(), to, about.scratchpad_desc(), scratch);
    if (!residual) return;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < layout.columns; ++c) to[r * width_ + c] += residual[(row + r) * width_ + column + c];
  }

  int64_t k_, m_, width_;
  bool has_bias_, adds_;
  std::vector<Layout> layouts_;  // whole tiles of columns, and the rest
};

Verdict accepts(const Device&, const Node& node) {
  if (esp::elements(node.in(0)) == 0 || esp::elements(node.out()) == 0) return Verdict::no("an operand is empty");
  return all_f32(node);
}

}  // namespace

std::span<const Kernel> linear_onednn() {
  static constexpr Kernel kKernels[] = {
      {"linear", "onednn", accepts, make_step<OneDnn>, nullptr, kept_by<OneDnn>},
      {"linear_add", "onednn", accepts, make_step<OneDnn>, nullptr, kept_by<OneDnn>},
  };
  return kKernels;
}
#else
std::span<const Kernel> linear_onednn() { return {}; }
#endif

}  // namespace espalier::cpu::kernels
