// adafactor: one task a row for what belongs to rows, one task a chunk of columns for what belongs to columns, so that every
// sum has one order whatever the number of threads; then the update twice, once for its size and once into the tensor.

#include <algorithm>
#include <cmath>

#include "backends/cpu/kernels/map.h"

namespace espalier::cpu::kernels {
namespace {

constexpr int64_t kColumns = 1024;  // of one task

struct Options {
  float eps;
  double min_rms, clip_rms, weight_decay;
  explicit Options(const Node& node)
      : eps(static_cast<float>(node.number("eps"))),
        min_rms(node.number("min_rms")),
        clip_rms(node.number("clip_rms")),
        weight_decay(node.number("weight_decay")) {}
};

double sum_of(const std::vector<double>& parts) {
  double sum = 0;
  for (double part : parts) sum += part;
  return sum;
}

/// Σ x² in double, four sums side by side.
double squares(const float* x, int64_t count) {
  double sums[4] = {};
  int64_t i = 0;
  for (; i + 4 <= count; i += 4)
    for (int k = 0; k < 4; ++k) sums[k] += static_cast<double>(x[i + k]) * x[i + k];
  for (; i < count; ++i) sums[0] += static_cast<double>(x[i]) * x[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/// The update itself, over `parts` pieces: `update(piece, f)` calls f(first, count, 1/√v of those) for what a piece holds.
template <typename Update>
void apply(Device& device, const Options& options, const float* p, const float* g, float* new_p, const float* hyper,
           int64_t count, int64_t pieces, std::vector<double>& parts, double p_squares, Update&& update) {
  parts.assign(static_cast<size_t>(pieces), 0);
  const float scale = hyper[1];
  device.parallel(pieces, [&](int64_t piece, int) {
    double sum = 0;
    update(piece, [&](int64_t i, float root) {
      const double u = g[i] * scale * root;
      sum += u * u;
    });
    parts[static_cast<size_t>(piece)] = sum;
  });
  const auto elements = static_cast<double>(count);
  const double rms = std::sqrt(sum_of(parts) / elements);
  const double size = std::max(options.min_rms, std::sqrt(p_squares / elements)) * hyper[3];
  const auto step = static_cast<float>(size / std::max(1.0, rms / options.clip_rms));
  const auto keep = static_cast<float>(1 - hyper[0] * options.weight_decay);
  device.parallel(pieces, [&](int64_t piece, int) {
    update(piece, [&](int64_t i, float root) { new_p[i] = p[i] * keep - step * (g[i] * scale * root); });
  });
}

class Matrix final : public Step {
 public:
  explicit Matrix(const Node& node) : options_(node), rows_(esp::elements(node.in(2))), columns_(esp::elements(node.in(3))) {
    parts_.resize(static_cast<size_t>(rows_));
  }

  void run(Device& device, const Operands& at) override {
    const float *p = device.floats(at, 0), *g = device.floats(at, 1), *row = device.floats(at, 2), *column = device.floats(at, 3),
                *hyper = device.floats(at, 4);
    auto *new_row = static_cast<float*>(at.out[1]), *new_column = static_cast<float*>(at.out[2]);
    const double newest = hyper[2], square_of_scale = static_cast<double>(hyper[1]) * hyper[1];
    device.parallel(rows_, [&](int64_t r, int) {
      const double mean = squares(g + r * columns_, columns_) * square_of_scale / static_cast<double>(columns_);
      new_row[r] = static_cast<float>(row[r] + newest * (mean - row[r]));
      parts_[static_cast<size_t>(r)] = squares(p + r * columns_, columns_);
    });
    device.parallel((columns_ + kColumns - 1) / kColumns, [&](int64_t chunk, int) {
      const int64_t begin = chunk * kColumns, width = std::min(kColumns, columns_ - begin);
      double sums[kColumns] = {};
      for (int64_t r = 0; r < rows_; ++r) {
        const float* x = g + r * columns_ + begin;
        for (int64_t c = 0; c < width; ++c) sums[c] += static_cast<double>(x[c]) * x[c];
      }
      for (int64_t c = 0; c < width; ++c) {
        const double mean = sums[c] * square_of_scale / static_cast<double>(rows_);
        new_column[begin + c] = static_cast<float>(column[begin + c] + newest * (mean - column[begin + c]));
      }
    });
    const double p_squares = sum_of(parts_);
    double mean = 0;
    for (int64_t r = 0; r < rows_; ++r) mean += new_row[r];
    mean = std::max(mean / static_cast<double>(rows_), static_cast<double>(options_.eps));
    const float least = options_.eps * options_.eps;
    apply(device, options_, p, g, static_cast<float*>(at.out[0]), hyper, rows_ * columns_, rows_, parts_, p_squares,
          [&](int64_t r, auto&& each) {
            const auto of_row = static_cast<float>(new_row[r] / mean);
            for (int64_t c = 0; c < columns_; ++c) each(r * columns_ + c, 1 / std::sqrt(std::max(of_row * new_column[c], least)));
          });
  }

 private:
  Options options_;
  int64_t rows_, columns_;
  std::vector<double> parts_;
};

class Vector final : public Step {
 public:
  explicit Vector(const Node& node) : options_(node), count_(esp::elements(node.in(0))) {}

  void run(Device& device, const Operands& at) override {
    const float *p = device.floats(at, 0), *g = device.floats(at, 1), *v = device.floats(at, 2), *hyper = device.floats(at, 3);
    auto* new_v = static_cast<float*>(at.out[1]);
    const int64_t tiles = (count_ + kMapGrain - 1) / kMapGrain;
    const float scale = hyper[1], newest = hyper[2];
    parts_.assign(static_cast<size_t>(tiles), 0);
    device.parallel(tiles, [&](int64_t tile, int) {
      const int64_t begin = tile * kMapGrain, end = std::min(begin + kMapGrain, count_);
      for (int64_t i = begin; i < end; ++i) {
        const float gradient = g[i] * scale;
        new_v[i] = v[i] + newest * (gradient * gradient - v[i]);
      }
      parts_[static_cast<size_t>(tile)] = squares(p + begin, end - begin);
    });
    const double p_squares = sum_of(parts_);
    const float least = options_.eps * options_.eps;
    apply(device, options_, p, g, static_cast<float*>(at.out[0]), hyper, count_, tiles, parts_, p_squares,
          [&](int64_t tile, auto&& each) {
            const int64_t begin = tile * kMapGrain, end = std::min(begin + kMapGrain, count_);
            for (int64_t i = begin; i < end; ++i) each(i, 1 / std::sqrt(std::max(new_v[i], least)));
          });
  }

 private:
  Options options_;
  int64_t count_;
  std::vector<double> parts_;
};

}  // namespace

std::span<const Kernel> adafactor() {
  static constexpr Kernel kKernels[] = {{"adafactor", "rows", accepts_f32, make_step<Matrix>},
                                        {"adafactor_vector", "tiles", accepts_f32, make_step<Vector>}};
  return kKernels;
}

}  // namespace espalier::cpu::kernels
