#pragma once
// Devices that are not there. What a run would take and launch on one is planned; nothing can be run on it.

#include <memory>
#include <span>

#include "backends/cuda/seam.h"

namespace espalier::cuda {

std::span<const DeviceFacts> described_devices();
/// A seam that plans by upper bounds: what the real one lets a library take at most. It refuses to allocate.
std::unique_ptr<Seam> open_description(const DeviceFacts& device);

}  // namespace espalier::cuda
