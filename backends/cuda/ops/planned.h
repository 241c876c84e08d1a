#pragma once
// Ops that a library runs: what they share between asking for a plan and running it.

#include "backends/cuda/ops/ops.h"

namespace espalier::cuda::ops {

/// 64-byte aligned offset behind `bytes` of a workspace.
inline uint64_t rounded(uint64_t bytes) { return (bytes + 63) / 64 * 64; }
inline uint64_t bytes_of(int64_t elements, int32_t dtype) { return static_cast<uint64_t>(elements * esp::dtype_bytes(dtype)); }

/// Accepts what accepts_floats does and the seam has a plan for. `ShapeOf` makes the seam's shape of the node.
template <auto ShapeOf>
Verdict accepts_planned(const Device& device, const Node& node) {
  if (Verdict answer = accepts_floats(device, node); !answer) return answer;
  const auto planned = device.seam().plan(ShapeOf(node));
  return planned.plan ? Verdict::ok() : Verdict::no(planned.refusal);
}
/// Of the plan alone.
template <auto ShapeOf>
uint64_t plan_workspace(const Device& device, const Node& node) {
  return device.seam().plan(ShapeOf(node)).plan->workspace_bytes();
}

}  // namespace espalier::cuda::ops
