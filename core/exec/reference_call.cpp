#include "core/exec/reference_call.h"

#include <cstring>

#include "core/base/error.h"
#include "core/base/half.h"
#include "core/ops/rounding.h"

namespace espalier::exec {
namespace {

// Files give no alignment beyond the element's own, and mapped memory has no type: read and write through memcpy.
template <typename T>
void widen_as(const void* data, std::vector<double>& out) {
  for (size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, static_cast<const char*>(data) + i * sizeof(T), sizeof(T));
    out[i] = static_cast<double>(value);
  }
}

template <typename T, typename F>
void narrow_as(std::span<const double> values, void* to, F convert) {
  for (size_t i = 0; i < values.size(); ++i) {
    const T value = static_cast<T>(convert(values[i]));
    std::memcpy(static_cast<char*>(to) + i * sizeof(T), &value, sizeof(T));
  }
}

}  // namespace

std::vector<double> widen(DType dtype, const void* data, size_t count) {
  std::vector<double> out(count);
  switch (dtype) {
    case DType::kF32:
      widen_as<float>(data, out);
      break;
    case DType::kF64:
      widen_as<double>(data, out);
      break;
    case DType::kI32:
      widen_as<int32_t>(data, out);
      break;
    case DType::kI64:
      widen_as<int64_t>(data, out);
      break;
    case DType::kU8:
    case DType::kBool:
      widen_as<uint8_t>(data, out);
      break;
    case DType::kF16:
    case DType::kBF16: {
      std::vector<float> floats(count);
      dtype == DType::kF16 ? f16_to_f32(data, floats.data(), count) : bf16_to_f32(data, floats.data(), count);
      out.assign(floats.begin(), floats.end());
      break;
    }
    case DType::kNone:
      internal_error("widen of an absent operand");
  }
  return out;
}

void narrow(DType dtype, std::span<const double> values, void* to) {
  const auto rounded = [dtype](double v) { return ops::round_to(dtype, v); };
  switch (dtype) {
    case DType::kF32:
      narrow_as<float>(values, to, rounded);
      break;
    case DType::kF64:
      narrow_as<double>(values, to, rounded);
      break;
    case DType::kI32:
      narrow_as<int32_t>(values, to, rounded);
      break;
    case DType::kI64:
      narrow_as<int64_t>(values, to, rounded);
      break;
    case DType::kU8:
    case DType::kBool:
      narrow_as<uint8_t>(values, to, rounded);
      break;
    case DType::kF16:
      narrow_as<uint16_t>(values, to, [&](double v) { return f32_to_f16(static_cast<float>(rounded(v))); });
      break;
    case DType::kBF16:
      narrow_as<uint16_t>(values, to, [&](double v) { return f32_to_bf16(static_cast<float>(rounded(v))); });
      break;
    case DType::kNone:
      internal_error("narrow to an absent result");
  }
}

void run_reference_call(const OpCall& call, std::span<const HostOperand> operands, std::span<void* const> results) {
  std::vector<std::vector<double>> in(call.inputs.size()), out(call.results.size());
  std::vector<RefTensor> tensors;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (call.inputs[i].present())
      in[i] = widen(operands[i].dtype, operands[i].data, static_cast<size_t>(call.inputs[i].shape.elements()));
    tensors.push_back({call.inputs[i], in[i]});
  }
  std::vector<RefResult> wanted;
  for (size_t i = 0; i < call.results.size(); ++i) {
    out[i].resize(static_cast<size_t>(call.results[i].shape.elements()));
    wanted.push_back({call.results[i], out[i], {}});
  }
  (*call.op->reference)(call, tensors, wanted);
  for (size_t i = 0; i < call.results.size(); ++i) narrow(call.results[i].dtype, out[i], results[i]);
}

}  // namespace espalier::exec
