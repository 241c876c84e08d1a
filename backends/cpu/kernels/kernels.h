#pragma once
// The kernels of each file in this folder.

#include <span>

#include "backends/cpu/device.h"

namespace espalier::cpu::kernels {

#define ESP_CPU_KERNELS(stem) std::span<const Kernel> stem();
#include "backends/cpu/kernels/kernel_list.def"
#undef ESP_CPU_KERNELS

/// `prepare` for a step class that is made from the node alone.
template <typename S>
StepPtr make_step(Device&, const Node& node) {
  return std::make_unique<S>(node);
}

/// `kept` of a kernel whose packed weight is operand 1, by the step class's own `kept`.
template <typename S>
esp::kept_copies kept_by(const Device&, const Node& node) {
  return node.is_param(1) ? S(node).kept() : esp::kept_copies{};
}
/// `elements` of a packed weight: in the file's dtype where packing only moves them, else f32.
inline esp::kept_copies kept_weight(int64_t elements, bool exact) { return {static_cast<uint64_t>(elements), exact ? 0u : 4u}; }

}  // namespace espalier::cpu::kernels
