// attention_grad, a head at a time: keys and values are packed once, then a block of queries after the other adds what it
// sends into keys and values, in order. The scores of a block are computed anew and stay in the L2 cache; no matrix of scores of
// the whole head exists (Dao et al., FlashAttention, arXiv:2205.14135).

#include <cmath>
#include <cstring>

#include "backends/cpu/kernels/kernels.h"
#include "backends/cpu/product.h"

namespace espalier::cpu::kernels {
namespace {

constexpr int64_t kQueries = 48;  // rows of a block: a multiple of kTileRows and of every vector's lanes

// Rows of a product's A, `stride` apart.
void multiply_rows(const float* a, int64_t stride, int64_t rows, const float* panel, int64_t k, float* acc, bool add) {
  for (int64_t r = 0; r < rows; r += kTileRows) {
    const float* pointers[kTileRows];
    const int tile = static_cast<int>(std::min<int64_t>(kTileRows, rows - r));
    for (int i = 0; i < tile; ++i) pointers[i] = a + (r + i) * stride;
    multiply_tile(tile, pointers, panel, k, acc + r * kPanel, add);
  }
}

// `rows` rows of `width` floats, `stride` apart, as panels of kPanel columns: [panel][rows][kPanel].
void pack_rows(const float* from, int64_t stride, int64_t rows, int64_t width, float* to) {
  for (int64_t column = 0; column < width; column += kPanel)
    for (int64_t r = 0; r < rows; ++r, to += kPanel)
      for (int64_t v = 0; v < kPanel; v += kLanes)
        store(to + v, load_part(from + r * stride + column + v, std::clamp<int64_t>(width - column - v, 0, kLanes)));
}

class AttentionGrad final : public Step {
 public:
  explicit AttentionGrad(const Node& node)
      : n_(node.in(0).dims[0]),
        l_(node.in(0).dims[1]),
        width_(node.in(0).dims[2]),
        s_(node.in(1).dims[1]),
        heads_(node.integer("heads")),
        d_(width_ / heads_),
        keys_(panels_of(s_) * kPanel),
        columns_(panels_of(d_) * kPanel) {}

  void run(Device& device, const Operands& at) override {
    const float *q = device.floats(at, 0), *k = device.floats(at, 1), *v = device.floats(at, 2), *d = device.floats(at, 3);
    auto* out = static_cast<float*>(at.out[0]);
    device.parallel(n_ * heads_, [&](int64_t head, int thread) {
      const int64_t n = head / heads_, channel = head % heads_ * d_, query = n * l_ * width_ + channel;
      const int64_t key = n * s_ * width_ + channel;
      one_head(q + query, k + key, v + key, d + query, out + n * (l_ + 2 * s_) * width_ + channel,
               device.scratch(thread, scratch_floats()));
    });
  }

 private:
  int64_t scratch_floats() const {
    return 2 * keys_ * d_ + 3 * columns_ * keys_ + kQueries * (4 * keys_ + 3 * columns_ + d_ + kPanel);
  }

  void one_head(const float* q, const float* k, const float* v, const float* d, float* out, float* scratch) const {
    float* key_panels = scratch;                    // [panel of keys][d][kPanel]
    float* value_panels = key_panels + keys_ * d_;  // the same of v
    float* key_rows = value_panels + keys_ * d_;    // [panel of channels][s][kPanel]
    float* d_keys = key_rows + columns_ * keys_;    // [panel of channels][s][kPanel], sums
    float* d_values = d_keys + columns_ * keys_;    // the same
    float* blocks = d_values + columns_ * keys_;
    for (int64_t panel = 0; panel * kPanel < s_; ++panel) {
      const auto first_of = [&](int j) { return panel * kPanel + j < s_ ? (panel * kPanel + j) * width_ : -1; };
      pack_panel({nullptr, k, ESP_F32}, d_, first_of, key_panels + panel * kPanel * d_);
      pack_panel({nullptr, v, ESP_F32}, d_, first_of, value_panels + panel * kPanel * d_);
    }
    pack_rows(k, width_, s_, d_, key_rows);
    for (int64_t first = 0; first < l_; first += kQueries)
      block(q + first * width_, d + first * width_, std::min(kQueries, l_ - first), first != 0, key_panels, value_panels,
            key_rows, d_keys, d_values, out + first * width_, blocks);
    if (l_ == 0) std::memset(d_keys, 0, static_cast<size_t>(2 * columns_ * keys_) * 4);
    copy_out(d_keys, s_, out + l_ * width_);
    copy_out(d_values, s_, out + (l_ + s_) * width_);
  }

  void block(const float* q, const float* d, int64_t rows, bool add, const float* key_panels, const float* value_panels,
             const float* key_rows, float* d_keys, float* d_values, float* out, float* scratch) const {
    float* weights = scratch;                      // [row][keys_]
    float* slopes = weights + kQueries * keys_;    // [row][keys_]
    float* turned = slopes + kQueries * keys_;     // [key][kQueries], of weights, then of slopes
    float* scaled = turned + kQueries * keys_;     // [row][d], q / √d
    float* q_rows = scaled + kQueries * d_;        // [panel of channels][row][kPanel], of q / √d
    float* d_rows = q_rows + kQueries * columns_;  // the same of d
    float* d_queries = d_rows + kQueries * columns_;
    float* acc = d_queries + kQueries * columns_;
    const float scale = 1.0f / std::sqrt(static_cast<float>(d_));
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < d_; ++c) scaled[r * d_ + c] = q[r * width_ + c] * scale;
    pack_rows(scaled, d_, rows, d_, q_rows);
    pack_rows(d, width_, rows, d_, d_rows);
    for (int64_t panel = 0; panel * kPanel < s_; ++panel) {
      multiply_rows(scaled, d_, rows, key_panels + panel * kPanel * d_, d_, acc, false);
      store_tile(weights, keys_, 0, static_cast<int>(rows), panel, acc);
      multiply_rows(d, width_, rows, value_panels + panel * kPanel * d_, d_, acc, false);
      store_tile(slopes, keys_, 0, static_cast<int>(rows), panel, acc);
    }
    for (int64_t r = 0; r < rows; ++r) soften(weights + r * keys_, slopes + r * keys_);
    // What this block sends into its own queries, the values and the keys. `scaled` carries the scale of dsᵀ q; dq wants it too.
    for (int64_t c = 0; c < columns_; c += kPanel)
      multiply_rows(slopes, keys_, rows, key_rows + c * s_, s_, d_queries + c * rows, false);
    for (int64_t i = 0; i < columns_ * rows; i += kLanes) store(d_queries + i, load(d_queries + i) * scale);
    copy_out(d_queries, rows, out);
    turn_block(weights, rows, turned);
    for (int64_t c = 0; c < columns_; c += kPanel)
      multiply_rows(turned, kQueries, s_, d_rows + c * rows, rows, d_values + c * s_, add);
    turn_block(slopes, rows, turned);
    for (int64_t c = 0; c < columns_; c += kPanel)
      multiply_rows(turned, kQueries, s_, q_rows + c * rows, rows, d_keys + c * s_, add);
  }

  // Scores → weights of the softmax; slopes holds d vᵀ → weights ∘ (d vᵀ - Σ weights ∘ d vᵀ).
  void soften(float* weights, float* slopes) const {
    Vec highest = splat(weights[0]);
    for (int64_t j = 0; j < s_; j += kLanes)
      highest = vmax(highest, load_part(weights + j, std::min<int64_t>(kLanes, s_ - j), weights[0]));
    const Vec best = splat(reduce_max(highest));
    Vec total{}, along{};
    for (int64_t j = 0; j < s_; j += kLanes) {
      const int64_t run = std::min<int64_t>(kLanes, s_ - j);
      store(weights + j, vexp(load(weights + j) - best));
      const Vec weight = load_part(weights + j, run);  // zeros past the last key
      store(weights + j, weight);
      total += weight;
      along += weight * load_part(slopes + j, run);
    }
    const float sum = reduce_add(total);
    const Vec inverse = splat(1.0f / sum), mean = splat(reduce_add(along) / sum);
    for (int64_t j = 0; j < s_; j += kLanes) {
      const Vec weight = load(weights + j) * inverse;
      store(weights + j, weight);
      store(slopes + j, weight * (load(slopes + j) - mean));
    }
  }

  // [row][keys_] → [key][kQueries], keys up to s_.
  void turn_block(const float* from, int64_t rows, float* to) const {
    for (int64_t r = 0; r < rows; r += kLanes)  // rows past the last are never read
      for (int64_t key = 0; key < s_; key += kLanes)
        transpose_square(from + r * keys_ + key, keys_, to + key * kQueries + r, kQueries);
  }

  // [panel of channels][row][kPanel] → rows of the result.
  void copy_out(const float* from, int64_t rows, float* out) const {
    for (int64_t c = 0; c < columns_; c += kPanel)
      for (int64_t r = 0; r < rows; ++r, from += kPanel)
        for (int64_t v = 0; v < kPanel && c + v < d_; v += kLanes)
          store_part(out + r * width_ + c + v, load(from + v), std::min<int64_t>(kLanes, d_ - c - v));
  }

  int64_t n_, l_, width_, s_, heads_, d_, keys_, columns_;
};

Verdict accepts(const Device&, const Node& node) { return all_f32(node); }

}  // namespace

std::span<const Kernel> attention_grad() {
  static constexpr Kernel kKernels[] = {{"attention_grad", "tiled", accepts, make_step<AttentionGrad>}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
