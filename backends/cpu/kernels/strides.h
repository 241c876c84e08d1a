#pragma once
// Loops over strided operands, with neighbouring dimensions merged wherever every operand allows it.

#include <array>
#include <vector>

#include "backends/cpu/device.h"

namespace espalier::cpu::kernels {

/// One dimension of the result: its extent and each operand's step in elements.
template <size_t Operands>
struct Axis {
  int64_t extent;
  std::array<int64_t, Operands> step;
};

/// Drops extents of 1 and merges neighbours that every operand walks in one step. Outermost first; at least one axis.
template <size_t Operands>
std::vector<Axis<Operands>> merge_axes(const std::vector<Axis<Operands>>& axes) {
  std::vector<Axis<Operands>> merged;
  for (const Axis<Operands>& axis : axes) {
    if (axis.extent == 1) continue;
    bool joins = !merged.empty();
    for (size_t i = 0; joins && i < Operands; ++i) joins = merged.back().step[i] == axis.step[i] * axis.extent;
    if (joins)
      merged.back() = {merged.back().extent * axis.extent, axis.step};
    else
      merged.push_back(axis);
  }
  if (merged.empty()) merged.push_back({1, {}});
  return merged;
}

/// Where each operand begins for run `index` of the innermost axis.
template <size_t Operands>
std::array<int64_t, Operands> run_offsets(const std::vector<Axis<Operands>>& axes, int64_t index) {
  std::array<int64_t, Operands> offsets{};
  for (size_t d = axes.size() - 1; d-- > 0;) {
    const int64_t at = index % axes[d].extent;
    index /= axes[d].extent;
    for (size_t i = 0; i < Operands; ++i) offsets[i] += at * axes[d].step[i];
  }
  return offsets;
}

/// Row-major steps of a tensor; broadcast to `result` (aligned at the last dimension), extents of 1 step 0.
inline std::vector<int64_t> steps_of(const esp_tensor_type& type, const esp_tensor_type& result) {
  std::vector<int64_t> steps(static_cast<size_t>(result.rank), 0);
  int64_t step = 1;
  for (int i = type.rank - 1, to = result.rank - 1; i >= 0; --i, --to) {
    if (type.dims[i] != 1) steps[static_cast<size_t>(to)] = step;
    step *= type.dims[i];
  }
  return steps;
}

}  // namespace espalier::cpu::kernels
