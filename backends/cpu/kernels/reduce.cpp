// reduce_max, reduce_mean, reduce_sum. "columns" keeps the innermost dimension alone, as the gradient of a bias does, and adds
// whole rows; "whole" makes one number of everything. Both cut x into runs that depend on its shape alone and join the runs in
// order. "simple" takes the rest: each element of the result walks its part of x in order. Runs are joined in double.

#include <cmath>

#include "backends/cpu/kernels/map.h"
#include "backends/cpu/kernels/strides.h"

namespace espalier::cpu::kernels {
namespace {

enum class Kind { kMax, kMean, kSum };

class Reduce final : public Step {
 public:
  explicit Reduce(const Node& node)
      : kind_(node.op() == "reduce_max"    ? Kind::kMax
              : node.op() == "reduce_mean" ? Kind::kMean
                                           : Kind::kSum) {
    const esp_tensor_type& x = node.in(0);
    std::vector<bool> reduced(static_cast<size_t>(x.rank), node.integers("axes").empty());
    for (int64_t axis : node.integers("axes")) reduced[static_cast<size_t>(axis < 0 ? axis + x.rank : axis)] = true;
    const auto steps = steps_of(x, x);
    std::vector<Axis<1>> kept, gone;
    for (size_t i = 0; i < reduced.size(); ++i) (reduced[i] ? gone : kept).push_back({x.dims[i], {steps[i]}});
    kept_ = merge_axes(kept);
    kept_.push_back({1, {}});  // run_offsets leaves the innermost axis to its caller
    gone_ = merge_axes(gone);
    for (size_t i = 0; i + 1 < gone_.size(); ++i) runs_ *= gone_[i].extent;
    count_ = esp::elements(node.out());
  }

  void run(Device& device, const Operands& at) override {
    const float* x = device.floats(at, 0);
    auto* out = static_cast<float*>(at.out[0]);
    const int64_t length = runs_ * gone_.back().extent;
    device.parallel_ranges(count_, std::max<int64_t>(1, kMapGrain / std::max<int64_t>(length, 1)),
                           [&](int64_t begin, int64_t end) {
                             for (int64_t i = begin; i < end; ++i) out[i] = one(x + run_offsets(kept_, i)[0], length);
                           });
  }

 private:
  float one(const float* x, int64_t length) const {
    const int64_t extent = gone_.back().extent, step = gone_.back().step[0];
    double sum = 0;
    float best = -INFINITY;
    for (int64_t run = 0; run < runs_; ++run) {
      const float* from = x + run_offsets(gone_, run)[0];
      for (int64_t i = 0; i < extent; ++i) {
        const float value = from[i * step];
        sum += value;
        best = value > best || std::isnan(value) ? value : best;
      }
    }
    if (kind_ == Kind::kMax) return best;
    return static_cast<float>(kind_ == Kind::kMean ? sum / static_cast<double>(length) : sum);
  }

  Kind kind_;
  std::vector<Axis<1>> kept_, gone_;
  int64_t runs_ = 1, count_ = 0;
};

// Dimensions that are summed as rows, and the innermost ones that are left.
struct Columns {
  explicit Columns(const Node& node) : axes(node.integers("axes")) {
    const esp_tensor_type& x = node.in(0);
    std::vector<bool> reduced(static_cast<size_t>(x.rank), axes.empty());
    for (int64_t axis : axes) reduced[static_cast<size_t>(axis < 0 ? axis + x.rank : axis)] = true;
    int32_t i = 0;
    for (; i < x.rank && (reduced[static_cast<size_t>(i)] || x.dims[i] == 1); ++i) rows *= x.dims[i];
    for (; i < x.rank; ++i) {
      fits = fits && (!reduced[static_cast<size_t>(i)] || x.dims[i] == 1);
      width *= x.dims[i];
    }
  }
  std::span<const int64_t> axes;
  int64_t rows = 1, width = 1;
  bool fits = true;  // reduced dimensions are all outermost
};

class ColumnSum final : public Step {
 public:
  explicit ColumnSum(const Node& node)
      : rows_(Columns(node).rows),
        width_(Columns(node).width),
        runs_((rows_ + kRunRows - 1) / kRunRows),
        scale_(node.op() == "reduce_mean" ? 1.0 / static_cast<double>(rows_) : 1.0) {}

  void run(Device& device, const Operands& at) override {
    const float* x = device.floats(at, 0);
    auto* out = static_cast<float*>(at.out[0]);
    auto* sums = static_cast<float*>(at.workspace);  // [run][width]
    device.parallel(runs_, [&](int64_t run, int) {
      add_rows(x + run * kRunRows * width_, std::min(kRunRows, rows_ - run * kRunRows), sums + run * width_);
    });
    device.parallel_ranges(width_, 512, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        double sum = 0;
        for (int64_t run = 0; run < runs_; ++run) sum += static_cast<double>(sums[run * width_ + c]);
        out[c] = static_cast<float>(sum * scale_);
      }
    });
  }

  static uint64_t workspace(const Device&, const Node& node) {
    const ColumnSum sum(node);
    return static_cast<uint64_t>(sum.runs_ * sum.width_) * 4;
  }

 private:
  static constexpr int64_t kRunRows = 32, kBlock = 4 * kLanes;

  void add_rows(const float* x, int64_t rows, float* to) const {
    int64_t c = 0;
    for (; c + kBlock <= width_; c += kBlock) {
      Vec sum[4]{};
      for (int64_t r = 0; r < rows; ++r)
        for (int v = 0; v < 4; ++v) sum[v] += load(x + r * width_ + c + v * kLanes);
      for (int v = 0; v < 4; ++v) store(to + c + v * kLanes, sum[v]);
    }
    for (; c < width_; c += kLanes) {
      const int64_t count = std::min<int64_t>(kLanes, width_ - c);
      Vec sum{};
      for (int64_t r = 0; r < rows; ++r) sum += load_part(x + r * width_ + c, count);
      store_part(to + c, sum, count);
    }
  }

  int64_t rows_, width_, runs_;
  double scale_;
};

class WholeSum final : public Step {
 public:
  explicit WholeSum(const Node& node)
      : count_(esp::elements(node.in(0))),
        runs_((count_ + kRun - 1) / kRun),
        scale_(node.op() == "reduce_mean" ? 1.0 / static_cast<double>(count_) : 1.0) {}

  void run(Device& device, const Operands& at) override {
    const float* x = device.floats(at, 0);
    auto* sums = static_cast<double*>(at.workspace);
    device.parallel(runs_, [&](int64_t run, int) {
      const int64_t end = std::min(count_, (run + 1) * kRun);
      double sum = 0;
      for (int64_t i = run * kRun; i < end; i += kStretch) sum += stretch(x + i, std::min(kStretch, end - i));
      sums[run] = sum;
    });
    double sum = 0;
    for (int64_t run = 0; run < runs_; ++run) sum += sums[run];
    *static_cast<float*>(at.out[0]) = static_cast<float>(sum * scale_);
  }

  static uint64_t workspace(const Device&, const Node& node) { return static_cast<uint64_t>(WholeSum(node).runs_) * 8; }

 private:
  static constexpr int64_t kRun = 1 << 14, kStretch = 16 * kLanes;

  static double stretch(const float* x, int64_t count) {
    Vec sum{};
    for (int64_t i = 0; i < count; i += kLanes) sum += load_part(x + i, std::min<int64_t>(kLanes, count - i));
    return static_cast<double>(reduce_add(sum));
  }

  int64_t count_, runs_;
  double scale_;
};

Verdict accepts_columns(const Device&, const Node& node) {
  const Columns columns(node);
  if (!columns.fits) return Verdict::no("a dimension within another that stays is reduced");
  if (columns.width < 2 || columns.rows < 2) return Verdict::no("fewer than two rows or columns");
  return all_f32(node);
}

Verdict accepts_whole(const Device&, const Node& node) {
  if (esp::elements(node.out()) != 1) return Verdict::no("more than one number is left");
  if (esp::elements(node.in(0)) == 0) return Verdict::no("the operand is empty");
  return all_f32(node);
}

}  // namespace

std::span<const Kernel> reduce() {
  static constexpr Kernel kKernels[] = {
      {"reduce_mean", "columns", accepts_columns, make_step<ColumnSum>, ColumnSum::workspace},
      {"reduce_mean", "whole", accepts_whole, make_step<WholeSum>, WholeSum::workspace},
      {"reduce_sum", "columns", accepts_columns, make_step<ColumnSum>, ColumnSum::workspace},
      {"reduce_sum", "whole", accepts_whole, make_step<WholeSum>, WholeSum::workspace},
      {"reduce_max", "simple", accepts_f32, make_step<Reduce>},
      {"reduce_mean", "simple", accepts_f32, make_step<Reduce>},
      {"reduce_sum", "simple", accepts_f32, make_step<Reduce>},
  };
  return kKernels;
}

}  // namespace espalier::cpu::kernels
