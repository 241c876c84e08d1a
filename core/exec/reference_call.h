#pragma once
// One call on the reference kernels of core/ops, on host memory: operands widened to double, results rounded back.

#include <span>
#include <vector>

#include "core/ir/op_def.h"

namespace espalier::exec {

/// Bytes of one operand or result. `dtype` is that of the bytes, which for a parameter is the file's.
struct HostOperand {
  DType dtype = DType::kNone;  // kNone: absent
  const void* data = nullptr;
};

/// Runs `call`; `results[i]` receives call.results[i].bytes() bytes. Results may not overlap operands.
void run_reference_call(const OpCall& call, std::span<const HostOperand> operands, std::span<void* const> results);

/// `count` elements of `dtype` as doubles, and back (as ops::round_to rounds).
std::vector<double> widen(DType dtype, const void* data, size_t count);
void narrow(DType dtype, std::span<const double> values, void* to);

}  // namespace espalier::exec
