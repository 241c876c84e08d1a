// Gradients of group_norm and layer_norm. A row of layer_norm stays in the L1 cache. A group of group_norm is a narrow stripe of
// every row: sums are taken for each channel over fixed runs of rows and joined in double in a fixed order, as in group_norm;
// what is left for each element is two multiply-adds. Sums over rows for weight and bias go by fixed runs too.

#include <cmath>

#include "backends/cpu/kernels/map.h"

namespace espalier::cpu::kernels {
namespace {

constexpr int64_t kRunRows = 32;

Vec part(const float* p, int64_t width) { return width == kLanes ? load(p) : load_part(p, width); }
void put(float* p, Vec v, int64_t width) {
  if (width == kLanes)
    store(p, v);
  else
    store_part(p, v, width);
}

/// The extents of the operands d and x, and the runs of rows that sums are taken over.
struct Rows {
  explicit Rows(const Node& node, bool by_image)
      : c(esp::dim(node.in(1), -1)),
        n(by_image ? node.in(1).dims[0] : 1),
        rows(esp::elements(node.in(1)) / std::max<int64_t>(n * c, 1)),
        runs((rows + kRunRows - 1) / kRunRows),
        eps(node.number("eps")) {}
  int64_t rows_of(int64_t run) const { return std::min(kRunRows, rows - run * kRunRows); }
  int64_t c, n, rows, runs;
  double eps;
};

/// Mean and 1/√(var + eps) of a row.
struct Moments {
  float mean, inverse;
};
Moments moments_of(const float* x, int64_t c, double eps) {
  Vec sum{};
  for (int64_t i = 0; i < c; i += kLanes) sum += part(x + i, std::min<int64_t>(kLanes, c - i));
  const float mean = reduce_add(sum) / static_cast<float>(c);
  Vec squares{};
  for (int64_t i = 0; i < c; i += kLanes) {
    const int64_t width = std::min<int64_t>(kLanes, c - i);
    const Vec away = (width == kLanes ? load(x + i) : load_part(x + i, width, mean)) - splat(mean);
    squares += away * away;
  }
  return {mean, 1.0f / std::sqrt(reduce_add(squares) / static_cast<float>(c) + static_cast<float>(eps))};
}

class LayerInput final : public Step {
 public:
  explicit LayerInput(const Node& node) : s_(node, false) {}
  void run(Device& device, const Operands& at) override {
    const float *d = device.floats(at, 0), *x = device.floats(at, 1), *weight = device.floats(at, 2);
    auto* out = static_cast<float*>(at.out[0]);
    device.parallel_ranges(s_.rows, std::max<int64_t>(1, kMapGrain / std::max<int64_t>(s_.c, 1)),
                           [&](int64_t begin, int64_t end) {
                             for (int64_t r = begin; r < end; ++r) row(d + r * s_.c, x + r * s_.c, weight, out + r * s_.c);
                           });
  }

 private:
  void row(const float* d, const float* x, const float* weight, float* out) const {
    const int64_t c = s_.c;
    const Moments m = moments_of(x, c, s_.eps);
    Vec level{}, slope{};
    for (int64_t i = 0; i < c; i += kLanes) {
      const int64_t width = std::min<int64_t>(kLanes, c - i);
      const Vec scaled = part(d + i, width) * part(weight + i, width);
      level += scaled;
      slope += scaled * (part(x + i, width) - splat(m.mean));
    }
    const float mean_level = reduce_add(level) / static_cast<float>(c);
    const float mean_slope = reduce_add(slope) * m.inverse / static_cast<float>(c);
    for (int64_t i = 0; i < c; i += kLanes) {
      const int64_t width = std::min<int64_t>(kLanes, c - i);
      const Vec scaled = part(d + i, width) * part(weight + i, width), normal = (part(x + i, width) - splat(m.mean)) * m.inverse;
      put(out + i, (scaled - splat(mean_level) - normal * mean_slope) * m.inverse, width);
    }
  }
  Rows s_;
};

/// Adds the runs' sums of d · x̂ and of d, [run][2][c], to the result's two rows.
void join_affine(Device& device, const float* sums, int64_t runs, int64_t c, float* out) {
  device.parallel_ranges(2 * c, 512, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      double sum = 0;
      for (int64_t run = 0; run < runs; ++run) sum += static_cast<double>(sums[run * 2 * c + i]);
      out[i] = static_cast<float>(sum);
    }
  });
}

class LayerAffine final : public Step {
 public:
  explicit LayerAffine(const Node& node) : s_(node, false) {}
  void run(Device& device, const Operands& at) override {
    const float *d = device.floats(at, 0), *x = device.floats(at, 1);
    auto* sums = static_cast<float*>(at.workspace);
    device.parallel(s_.runs, [&](int64_t run, int) {
      const int64_t first = run * kRunRows * s_.c;
      add_rows(d + first, x + first, s_.rows_of(run), sums + run * 2 * s_.c);
    });
    join_affine(device, sums, s_.runs, s_.c, static_cast<float*>(at.out[0]));
  }
  static uint64_t workspace(const Device&, const Node& node) {
    const Rows s(node, false);
    return static_cast<uint64_t>(s.runs * 2 * s.c) * 4;
  }

 private:
  void add_rows(const float* d, const float* x, int64_t rows, float* sums) const {
    Moments m[kRunRows];
    for (int64_t r = 0; r < rows; ++r) m[r] = moments_of(x + r * s_.c, s_.c, s_.eps);
    for (int64_t i = 0; i < s_.c; i += kLanes) {
      const int64_t width = std::min<int64_t>(kLanes, s_.c - i);
      Vec slope{}, level{};
      for (int64_t r = 0; r < rows; ++r) {
        const Vec cotangent = part(d + r * s_.c + i, width);
        level += cotangent;
        slope += cotangent * ((part(x + r * s_.c + i, width) - splat(m[r].mean)) * m[r].inverse);
      }
      put(sums + i, slope, width);
      put(sums + s_.c + i, level, width);
    }
  }
  Rows s_;
};

/// Per image: mean and inverse deviation of each channel's group; and for each run of rows the sums of d · x̂ and of d by channel.
class GroupSums {
 public:
  explicit GroupSums(const Node& node) : s(node, true), groups(node.integer("groups")), width(s.c / groups) {}

  /// `moments`: [n][run][2][c] scratch; `normal`: [n][2][c], factor and shift of x̂; `sums`: [n][run][2][c].
  void run(Device& device, const float* d, const float* x, float* moments, float* normal, float* sums) const {
    device.parallel(s.n * s.runs, [&](int64_t task, int) {
      measure(x + first(task) * s.c, s.rows_of(task % s.runs), moments + task * 2 * s.c);
    });
    device.parallel(s.n, [&](int64_t n, int) { join(moments + n * s.runs * 2 * s.c, normal + n * 2 * s.c); });
    device.parallel(s.n * s.runs, [&](int64_t task, int) {
      add_rows(d + first(task) * s.c, x + first(task) * s.c, s.rows_of(task % s.runs), normal + task / s.runs * 2 * s.c,
               sums + task * 2 * s.c);
    });
  }
  int64_t first(int64_t task) const { return task / s.runs * s.rows + task % s.runs * kRunRows; }
  int64_t floats() const { return s.n * (2 * s.runs + 1) * 2 * s.c; }

  Rows s;
  int64_t groups, width;

 private:
  void measure(const float* x, int64_t rows, float* moments) const {
    for (int64_t i = 0; i < s.c; i += kLanes) {
      const int64_t run = std::min<int64_t>(kLanes, s.c - i);
      Vec sum{}, squares{};
      for (int64_t r = 0; r < rows; ++r) sum += part(x + r * s.c + i, run);
      const Vec mean = sum / splat(static_cast<float>(rows));
      for (int64_t r = 0; r < rows; ++r) {
        const Vec away = part(x + r * s.c + i, run) - mean;
        squares += away * away;
      }
      put(moments + i, mean, run);
      put(moments + s.c + i, squares, run);
    }
  }

  void join(const float* moments, float* normal) const {
    const double count = static_cast<double>(s.rows * width);
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t begin = g * width, end = begin + width;
      double total = 0, squares = 0;
      for (int64_t run = 0; run < s.runs; ++run)
        for (int64_t c = begin; c < end; ++c)
          total += static_cast<double>(moments[run * 2 * s.c + c]) * static_cast<double>(s.rows_of(run));
      const double mean = total / count;
      for (int64_t run = 0; run < s.runs; ++run)
        for (int64_t c = begin; c < end; ++c) {
          const double away = moments[run * 2 * s.c + c] - mean;
          squares += moments[run * 2 * s.c + s.c + c] + away * away * static_cast<double>(s.rows_of(run));
        }
      const double inverse = 1.0 / std::sqrt(squares / count + s.eps);
      for (int64_t c = begin; c < end; ++c) {
        normal[c] = static_cast<float>(inverse);
        normal[s.c + c] = static_cast<float>(mean);
      }
    }
  }

  void add_rows(const float* d, const float* x, int64_t rows, const float* normal, float* sums) const {
    for (int64_t i = 0; i < s.c; i += kLanes) {
      const int64_t run = std::min<int64_t>(kLanes, s.c - i);
      const Vec inverse = part(normal + i, run), mean = part(normal + s.c + i, run);
      Vec slope{}, level{};
      for (int64_t r = 0; r < rows; ++r) {
        const Vec cotangent = part(d + r * s.c + i, run);
        level += cotangent;
        slope += cotangent * ((part(x + r * s.c + i, run) - mean) * inverse);
      }
      put(sums + i, slope, run);
      put(sums + s.c + i, level, run);
    }
  }
};

class GroupAffine final : public Step {
 public:
  explicit GroupAffine(const Node& node) : g_(node) {}
  void run(Device& device, const Operands& at) override {
    auto* moments = static_cast<float*>(at.workspace);
    float *sums = moments + g_.s.n * g_.s.runs * 2 * g_.s.c, *normal = sums + g_.s.n * g_.s.runs * 2 * g_.s.c;
    g_.run(device, device.floats(at, 0), device.floats(at, 1), moments, normal, sums);
    join_affine(device, sums, g_.s.n * g_.s.runs, g_.s.c, static_cast<float*>(at.out[0]));
  }
  static uint64_t workspace(const Device&, const Node& node) { return static_cast<uint64_t>(GroupSums(node).floats()) * 4; }

 private:
  GroupSums g_;
};

class GroupInput final : public Step {
 public:
  explicit GroupInput(const Node& node) : g_(node) {}
  void run(Device& device, const Operands& at) override {
    const float *d = device.floats(at, 0), *x = device.floats(at, 1), *weight = device.floats(at, 2);
    auto* out = static_cast<float*>(at.out[0]);
    const Rows& s = g_.s;
    auto* moments = static_cast<float*>(at.workspace);
    float *sums = moments + s.n * s.runs * 2 * s.c, *normal = sums + s.n * s.runs * 2 * s.c;
    g_.run(device, d, x, moments, normal, sums);
    float* factors = normal + s.n * 2 * s.c;  // [n][3][c]: of d, of x - mean, and what is added
    device.parallel(s.n, [&](int64_t n, int) {
      join(sums + n * s.runs * 2 * s.c, normal + n * 2 * s.c, weight, factors + n * kFactors * s.c);
    });
    device.parallel(s.n * s.runs, [&](int64_t task, int) {
      const int64_t n = task / s.runs, begin = g_.first(task) * s.c;
      apply(d + begin, x + begin, s.rows_of(task % s.runs), factors + n * kFactors * s.c, normal + (2 * n + 1) * s.c,
            out + begin);
    });
  }
  static uint64_t workspace(const Device&, const Node& node) {
    const GroupSums g(node);
    return static_cast<uint64_t>(g.floats() + g.s.n * kFactors * g.s.c) * 4;
  }

 private:
  static constexpr int64_t kFactors = 3;

  void join(const float* sums, const float* normal, const float* weight, float* factors) const {
    const Rows& s = g_.s;
    const double count = static_cast<double>(s.rows * g_.width);
    for (int64_t g = 0; g < g_.groups; ++g) {
      const int64_t begin = g * g_.width, end = begin + g_.width;
      double slope = 0, level = 0;
      for (int64_t run = 0; run < s.runs; ++run)
        for (int64_t c = begin; c < end; ++c) {
          slope += static_cast<double>(sums[run * 2 * s.c + c]) * weight[c];
          level += static_cast<double>(sums[run * 2 * s.c + s.c + c]) * weight[c];
        }
      for (int64_t c = begin; c < end; ++c) {
        const double inverse = normal[c];
        factors[c] = static_cast<float>(inverse * weight[c]);
        factors[s.c + c] = static_cast<float>(-inverse * inverse * slope / count);
        factors[2 * s.c + c] = static_cast<float>(-inverse * level / count);
      }
    }
  }

  void apply(const float* d, const float* x, int64_t rows, const float* factors, const float* means, float* out) const {
    const int64_t c = g_.s.c;
    for (int64_t r = 0; r < rows; ++r, d += c, x += c, out += c)
      for (int64_t i = 0; i < c; i += kLanes) {
        const int64_t run = std::min<int64_t>(kLanes, c - i);
        const Vec away = part(x + i, run) - part(means + i, run);
        put(out + i,
            part(d + i, run) * part(factors + i, run) + (away * part(factors + c + i, run) + part(factors + 2 * c + i, run)),
            run);
      }
  }
  GroupSums g_;
};

Verdict accepts(const Device&, const Node& node) {
  if (esp::elements(node.in(1)) == 0) return Verdict::no("x is empty");
  return all_f32(node);
}

}  // namespace

std::span<const Kernel> norm_grad() {
  static constexpr Kernel kKernels[] = {
      {"group_norm_grad_affine", "vector", accepts, make_step<GroupAffine>, GroupAffine::workspace},
      {"group_norm_grad_input", "vector", accepts, make_step<GroupInput>, GroupInput::workspace},
      {"layer_norm_grad_affine", "vector", accepts, make_step<LayerAffine>, LayerAffine::workspace},
      {"layer_norm_grad_input", "vector", accepts, make_step<LayerInput>},
  };
  return kKernels;
}

}  // namespace espalier::cpu::kernels
