// broadcast, concat, permute, reshape, slice, stop_gradient: bytes move. All but concat are one strided copy of the source.

#include <cstring>

#include "backends/cpu/kernels/map.h"
#include "backends/cpu/kernels/strides.h"
#include "backends/cpu/widen.h"

namespace espalier::cpu::kernels {
namespace {

int64_t axis_of(int64_t axis, int32_t rank) { return axis < 0 ? axis + rank : axis; }
const char* source(Device& device, const Operands& at, size_t i) {
  return static_cast<const char*>(at.params[i] ? device.floats(at, i) : at.in[i]);
}

template <typename T>
void copy_run(const char* from, int64_t step, char* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(to + i * static_cast<int64_t>(sizeof(T)), from + i * step * static_cast<int64_t>(sizeof(T)), sizeof(T));
}

// The result's axes with the source's steps; `start` is the source's first element.
class StridedCopy : public Step {
 public:
  StridedCopy(const Node& node, std::vector<int64_t> steps, int64_t start = 0)
      : bytes_(esp::dtype_bytes(node.out().dtype)), start_(start) {
    std::vector<Axis<1>> axes;
    for (size_t i = 0; i < steps.size(); ++i) axes.push_back({node.out().dims[i], {steps[i]}});
    axes_ = merge_axes(axes);
    for (size_t i = 0; i + 1 < axes_.size(); ++i) rows_ *= axes_[i].extent;
    empty_ = esp::elements(node.out()) == 0;
  }
  void run(Device& device, const Operands& at) override {
    if (empty_) return;
    const char* from = source(device, at, 0) + start_ * bytes_;
    auto* to = static_cast<char*>(at.out[0]);
    const int64_t inner = axes_.back().extent, step = axes_.back().step[0];
    if (from == to && rows_ == 1 && step == 1) return;  // the host gave a view
    if (rows_ == 1 && (step == 1 || inner == 1)) {
      device.parallel_ranges(inner * bytes_, 4 * kMapGrain, [&](int64_t begin, int64_t end) {
        std::memmove(to + begin, from + begin, static_cast<size_t>(end - begin));
      });
      return;
    }
    device.parallel_ranges(rows_, std::max<int64_t>(1, kMapGrain / inner), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const char* at_row = from + run_offsets(axes_, row)[0] * bytes_;
        char* to_row = to + row * inner * bytes_;
        if (step == 1) {
          std::memcpy(to_row, at_row, static_cast<size_t>(inner * bytes_));
          continue;
        }
        switch (bytes_) {
          case 1:
            copy_run<uint8_t>(at_row, step, to_row, inner);
            break;
          case 2:
            copy_run<uint16_t>(at_row, step, to_row, inner);
            break;
          case 4:
            copy_run<uint32_t>(at_row, step, to_row, inner);
            break;
          default:
            copy_run<uint64_t>(at_row, step, to_row, inner);
            break;
        }
      }
    });
  }

 private:
  std::vector<Axis<1>> axes_;
  int64_t bytes_, start_, rows_ = 1;
  bool empty_ = false;
};

StepPtr prepare_broadcast(Device&, const Node& node) {
  return std::make_unique<StridedCopy>(node, steps_of(node.in(0), node.out()));
}

StepPtr prepare_permute(Device&, const Node& node) {
  const auto own = steps_of(node.in(0), node.in(0));
  std::vector<int64_t> steps;
  for (int64_t from : node.integers("order")) steps.push_back(own[static_cast<size_t>(from)]);
  return std::make_unique<StridedCopy>(node, steps);
}

StepPtr prepare_reshape(Device&, const Node& node) {
  return std::make_unique<StridedCopy>(node, steps_of(node.out(), node.out()));
}

StepPtr prepare_slice(Device&, const Node& node) {
  const int64_t axis = axis_of(node.integer("axis"), node.in(0).rank);
  int64_t step = 1;
  for (int64_t i = node.in(0).rank - 1; i > axis; --i) step *= node.in(0).dims[i];
  return std::make_unique<StridedCopy>(node, steps_of(node.in(0), node.in(0)), node.integer("begin") * step);
}

class Concat final : public Step {
 public:
  explicit Concat(const Node& node) {
    const int64_t axis = axis_of(node.integer("axis"), node.out().rank);
    for (int64_t i = 0; i < axis; ++i) rows_ *= node.out().dims[i];
    for (size_t i = 0; i < node.inputs(); ++i) {
      int64_t bytes = esp::dtype_bytes(node.out().dtype);
      for (int64_t d = axis; d < node.out().rank; ++d) bytes *= node.in(i).dims[d];
      part_bytes_.push_back(bytes);
      row_bytes_ += bytes;
    }
  }
  void run(Device& device, const Operands& at) override {
    std::vector<const char*> parts;
    for (size_t i = 0; i < part_bytes_.size(); ++i) parts.push_back(source(device, at, i));
    auto* out = static_cast<char*>(at.out[0]);
    device.parallel_ranges(rows_, std::max<int64_t>(1, 4 * kMapGrain / std::max<int64_t>(row_bytes_, 1)),
                           [&](int64_t begin, int64_t end) {
                             for (int64_t row = begin; row < end; ++row) {
                               char* to = out + row * row_bytes_;
                               for (size_t i = 0; i < parts.size(); to += part_bytes_[i++])
                                 if (part_bytes_[i])
                                   std::memcpy(to, parts[i] + row * part_bytes_[i], static_cast<size_t>(part_bytes_[i]));
                             }
                           });
  }

 private:
  std::vector<int64_t> part_bytes_;
  int64_t rows_ = 1, row_bytes_ = 0;
};

Verdict accepts(const Device&, const Node& node) {
  for (size_t i = 0; i < node.inputs(); ++i)
    if (node.is_param(i) && node.in(i).dtype != ESP_F32) return Verdict::no("a parameter that is not f32");
  return Verdict::ok();
}

}  // namespace

std::span<const Kernel> movement() {
  static constexpr Kernel kKernels[] = {
      {"broadcast", "strided", accepts, prepare_broadcast}, {"concat", "copy", accepts, make_step<Concat>},
      {"permute", "strided", accepts, prepare_permute},     {"reshape", "copy", accepts, prepare_reshape},
      {"slice", "strided", accepts, prepare_slice},         {"stop_gradient", "copy", accepts, prepare_reshape},
  };
  return kKernels;
}

}  // namespace espalier::cpu::kernels
