#include "core/ops/op_common.h"

#include <cmath>

#include "core/base/error.h"

namespace espalier::ops {
namespace {

const OperandSpec& spec_of(const OpCall& call, size_t i) {
  const auto& specs = *call.op->inputs;
  return specs[i < specs.size() ? i : specs.size() - 1];
}

std::string name_of_operand(const OpCall& call, size_t i) {
  const OperandSpec& spec = spec_of(call, i);
  return spec.variadic ? spec.name + "[" + std::to_string(i) + "]" : spec.name;
}

}  // namespace

void refuse(const OpCall& call, const std::string& what) { throw VerifyError("[" + std::string(*call.op->name) + "] " + what); }

std::string operand(const OpCall& call, size_t i) { return name_of_operand(call, i) + " is " + to_string(call.inputs[i]); }

void need_rank(const OpCall& call, size_t i, int rank) {
  const int has = call.inputs[i].shape.rank();
  if (has != rank)
    refuse(call, name_of_operand(call, i) + " has rank " + std::to_string(has) + ", [" + spec_of(call, i).shape + "] has " +
                     std::to_string(rank));
}

void need_rank_at_least(const OpCall& call, size_t i, int rank) {
  const int has = call.inputs[i].shape.rank();
  if (has < rank)
    refuse(call, name_of_operand(call, i) + " has rank " + std::to_string(has) + ", [" + spec_of(call, i).shape +
                     "] has at least " + std::to_string(rank));
}

void need_one_floating_dtype(const OpCall& call) {
  size_t first = call.inputs.size();
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const TensorType& type = call.inputs[i];
    if (!type.present()) continue;
    if (!is_floating(type.dtype)) refuse(call, operand(call, i) + "; it must be floating point");
    if (first == call.inputs.size()) first = i;
    if (type.dtype != call.inputs[first].dtype)
      refuse(call, operand(call, i) + " but " + operand(call, first) + "; they must have one dtype");
  }
}

void need_shape(const OpCall& call, size_t i, const Shape& shape, const std::string& why) {
  const TensorType& type = call.inputs[i];
  if (type.present() && !(type.shape == shape)) refuse(call, operand(call, i) + ", needs " + to_string(shape) + ": " + why);
}

void need_eps(const OpCall& call) {
  const double eps = call.attrs.f("eps");
  if (std::isnan(eps)) refuse(call, "eps is not a number");
  if (eps < 0) refuse(call, "eps is negative");
}

int normal_axis(const OpCall& call, int64_t axis, int rank) {
  if (axis < -rank || axis >= rank)
    refuse(call, "axis " + std::to_string(axis) + " is out of range for rank " + std::to_string(rank));
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

std::vector<int64_t> strides_of(const Shape& shape) {
  std::vector<int64_t> strides(static_cast<size_t>(shape.rank()), 1);
  for (int i = shape.rank() - 2; i >= 0; --i)
    strides[static_cast<size_t>(i)] = strides[static_cast<size_t>(i) + 1] * shape[i + 1];
  return strides;
}

std::vector<TensorType> one_result(const OpCall& call, DType dtype, Shape shape) {
  constexpr int64_t kMaxElements = int64_t{1} << 48;
  int64_t elements = 1;
  for (int64_t extent : shape.dims()) {
    if (extent > 0 && elements > kMaxElements / extent)
      refuse(call, "a result of " + to_string(shape) + " holds more than 2^48 elements");
    elements *= extent;
  }
  return {{dtype, std::move(shape)}};
}

Cost streaming_cost(const OpCall& call, double other_per_element) {
  Cost cost;
  for (const TensorType& type : call.inputs) cost.bytes_read += static_cast<double>(type.bytes());
  for (const TensorType& type : call.results.empty() ? (*call.op->infer)(call) : call.results) {
    cost.bytes_written += static_cast<double>(type.bytes());
    cost.other_flops += other_per_element * static_cast<double>(type.shape.elements());
  }
  return cost;
}

int64_t rows_of(const Shape& shape) {
  int64_t rows = 1;
  for (int i = 0; i + 1 < shape.rank(); ++i) rows *= shape[i];
  return rows;
}

}  // namespace espalier::ops
