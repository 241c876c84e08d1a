#pragma once
// The host's side of every op: which nodes it takes, and what it starts on the stream. What the files of this folder share.

#include <initializer_list>
#include <span>
#include <string>

#include "backends/cuda/device.h"

namespace espalier::cuda::ops {

#define ESP_CUDA_OPS(stem) std::span<const Kernel> stem();
#include "backends/cuda/ops/op_list.def"
#undef ESP_CUDA_OPS

/// `prepare` for a step class that is made from the node alone.
template <typename S>
StepPtr make_step(Device&, const Node& node) {
  return std::make_unique<S>(node);
}
/// `prepare` for one that asks the seam for plans too.
template <typename S>
StepPtr make_planned(Device& device, const Node& node) {
  return std::make_unique<S>(device, node);
}

/// Whether kernels compute with it.
bool is_floating(int32_t dtype);
/// Accepts where operands and results are of one type of f32, f16, bf16, and small enough to be counted in 32 bits.
Verdict accepts_floats(const Device& device, const Node& node);
/// The same for f32 alone: optimizers keep their masters in it.
Verdict accepts_f32(const Device& device, const Node& node);
/// The same for ops whose operands differ: operand i is of `in[i]`, every result of `out`.
Verdict accepts_types(const Node& node, std::initializer_list<int32_t> in, int32_t out);

/// Operand `i` in device memory, as `dtype`; a parameter is converted once.
const void* data(Device& device, const Operands& at, size_t i, int32_t dtype, Layout layout = Layout::kFile);

/// Extent of the last dimension, and how many rows of it there are.
struct Rows {
  explicit Rows(const esp_tensor_type& type)
      : width(type.rank == 0 ? 1 : esp::dim(type, -1)), rows(width == 0 ? 0 : esp::elements(type) / width) {}
  int64_t width, rows;
};

}  // namespace espalier::cuda::ops
