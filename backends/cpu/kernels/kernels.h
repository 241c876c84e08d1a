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

}  // namespace espalier::cpu::kernels
