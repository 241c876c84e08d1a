// attention in tiles: keys and values of every head are packed once, then each task takes a block of queries of one head
// and walks the keys with a running maximum and sum (Dao et al., FlashAttention, arXiv:2205.14135; Milakov and Gimelshein,
// arXiv:1805.02867). Heads are read in place from [N,L,h·d]. The scores of a block never leave the L2 cache.

#include <cmath>

#include "backends/cpu/kernels/kernels.h"
#include "backends/cpu/product.h"

namespace espalier::cpu::kernels {
namespace {

constexpr int64_t kQueries = 8 * kTileRows;   // rows of one task
constexpr int64_t kKeyPanels = 512 / kPanel;  // panels of keys between two rescalings
constexpr int64_t kKeys = kKeyPanels * kPanel;

class Tiled final : public Step {
 public:
  explicit Tiled(const Node& node)
      : n_(node.in(0).dims[0]),
        l_(node.in(0).dims[1]),
        width_(node.in(0).dims[2]),
        s_(node.in(1).dims[1]),
        heads_(node.integer("heads")),
        d_(width_ / heads_),
        key_panels_(panels_of(s_)),
        value_panels_(panels_of(d_)) {}

  void run(Device& device, const Operands& at) override {
    const float *q = device.floats(at, 0), *k = device.floats(at, 1), *v = device.floats(at, 2);
    auto* out = static_cast<float*>(at.out[0]);
    auto* keys = static_cast<float*>(at.workspace);
    float* values = keys + n_ * heads_ * key_floats();
    device.parallel(n_ * heads_ * key_panels_, [&](int64_t task, int) {
      const int64_t head = task / key_panels_, panel = task % key_panels_;
      pack_head(k, v, head, panel, keys + head * key_floats(), values + head * value_floats());
    });
    const int64_t blocks = (l_ + kQueries - 1) / kQueries;
    device.parallel(n_ * heads_ * blocks, [&](int64_t task, int thread) {
      const int64_t head = task / blocks;
      attend(q, head, task % blocks * kQueries, keys + head * key_floats(), values + head * value_floats(),
             device.scratch(thread, kQueries * (kKeys + value_panels_ * kPanel + d_ + 2)), out);
    });
  }

  static uint64_t workspace(const Device&, const Node& node) {
    const Tiled t(node);
    return static_cast<uint64_t>(t.n_ * t.heads_ * (t.key_floats() + t.value_floats())) * 4;
  }

 private:
  int64_t key_floats() const { return key_panels_ * kPanel * d_; }
  int64_t value_floats() const { return value_panels_ * kPanel * s_; }

  // Keys: panels of kPanel keys, d rows each. Values: panels of kPanel channels, s rows each; done for the keys of `panel`.
  void pack_head(const float* k, const float* v, int64_t head, int64_t panel, float* keys, float* values) const {
    const int64_t offset = head / heads_ * s_ * width_ + head % heads_ * d_;
    const int64_t first = panel * kPanel, last = std::min(first + kPanel, s_);
    pack_panel(
        {nullptr, k, ESP_F32}, d_, [&](int j) { return first + j < last ? offset + (first + j) * width_ : -1; },
        keys + panel * kPanel * d_);
    for (int64_t key = first; key < last; ++key)
      for (int64_t p = 0; p < value_panels_; ++p) {
        const float* from = v + offset + key * width_ + p * kPanel;
        float* to = values + (p * s_ + key) * kPanel;
        for (int64_t c = 0; c < kPanel; c += kLanes)
          store(to + c, load_part(from + c, std::clamp<int64_t>(d_ - p * kPanel - c, 0, kLanes)));
      }
  }

  void attend(const float* q, int64_t head, int64_t first, const float* keys, const float* values, float* scratch,
              float* out) const {
    const int64_t rows = std::min(kQueries, l_ - first);
    const int64_t offset = (head / heads_ * l_ + first) * width_ + head % heads_ * d_;
    float* scores = scratch;                                   // [row][kKeys]
    float* sums = scores + kQueries * kKeys;                   // [value panel][row][kPanel]
    float* scaled = sums + kQueries * value_panels_ * kPanel;  // [row][d], q / √d
    float *maximum = scaled + kQueries * d_, *total = maximum + kQueries;
    const float scale = 1.0f / std::sqrt(static_cast<float>(d_));
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < d_; ++c) scaled[r * d_ + c] = q[offset + r * width_ + c] * scale;
      maximum[r] = -INFINITY;
      total[r] = 0;
    }
    for (int64_t key = 0; key < s_; key += kKeys) {
      const int64_t count = std::min(kKeys, s_ - key);
      score(scaled, rows, keys + key * d_, count, scores);
      for (int64_t r = 0; r < rows; ++r) soften(scores + r * kKeys, count, key == 0, maximum[r], total[r], sums + r * kPanel);
      for (int64_t p = 0; p < value_panels_; ++p)
        for (int64_t r = 0; r < rows; r += kTileRows) {
          const float* pointers[kTileRows];
          const int tile = static_cast<int>(std::min<int64_t>(kTileRows, rows - r));
          for (int i = 0; i < tile; ++i) pointers[i] = scores + (r + i) * kKeys;
          multiply_tile(tile, pointers, values + (p * s_ + key) * kPanel, count, sums + (p * kQueries + r) * kPanel, key != 0);
        }
    }
    for (int64_t r = 0; r < rows; ++r) {
      const float inverse = 1.0f / total[r];
      for (int64_t c = 0; c < d_; c += kLanes) {
        const float* from = sums + ((c / kPanel) * kQueries + r) * kPanel + c % kPanel;
        store_part(out + offset + r * width_ + c, load(from) * inverse, std::min<int64_t>(kLanes, d_ - c));
      }
    }
  }

  // scores[r][j] = scaled[r] · keys[j]; columns past the last key are unread.
  void score(const float* scaled, int64_t rows, const float* keys, int64_t count, float* scores) const {
    alignas(64) float acc[kTileRows * kPanel];
    for (int64_t panel = 0; panel * kPanel < count; ++panel)
      for (int64_t r = 0; r < rows; r += kTileRows) {
        const float* pointers[kTileRows];
        const int tile = static_cast<int>(std::min<int64_t>(kTileRows, rows - r));
        for (int i = 0; i < tile; ++i) pointers[i] = scaled + (r + i) * d_;
        multiply_tile(tile, pointers, keys + panel * kPanel * d_, d_, acc, false);
        for (int i = 0; i < tile; ++i)
          for (int v = 0; v < kPanelVecs; ++v)
            store(scores + (r + i) * kKeys + panel * kPanel + v * kLanes, load(acc + i * kPanel + v * kLanes));
      }
  }

  // Turns a row of scores into weights relative to the running maximum; rescales what was summed under an older one.
  void soften(float* scores, int64_t count, bool first, float& maximum, float& total, float* sums) const {
    Vec highest = splat(maximum);
    for (int64_t j = 0; j < count; j += kLanes)
      highest = vmax(highest, load_part(scores + j, std::min<int64_t>(kLanes, count - j), maximum));
    const float best = reduce_max(highest);
    Vec added{};
    for (int64_t j = 0; j < count; j += kLanes) {
      const int64_t run = std::min<int64_t>(kLanes, count - j);
      const Vec weight = vexp(load(scores + j) - splat(best));
      store(scores + j, weight);
      added += run == kLanes ? weight : load_part(scores + j, run);
    }
    const float keep = first ? 0.0f : std::exp(maximum - best);
    total = total * keep + reduce_add(added);
    maximum = best;
    if (first || keep == 1.0f) return;
    for (int64_t p = 0; p < value_panels_; ++p)
      for (int v = 0; v < kPanelVecs; ++v) {
        float* at = sums + p * kQueries * kPanel + v * kLanes;
        store(at, load(at) * keep);
      }
  }

  int64_t n_, l_, width_, s_, heads_, d_, key_panels_, value_panels_;
};

Verdict accepts(const Device&, const Node& node) { return all_f32(node); }

}  // namespace

std::span<const Kernel> attention() {
  static constexpr Kernel kKernels[] = {{"attention", "tiled", accepts, make_step<Tiled>, Tiled::workspace}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
