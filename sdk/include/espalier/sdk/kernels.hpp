// What a backend's kernels are written with: nodes, verdicts, steps, and the table of ranked kernels.
#ifndef ESPALIER_SDK_KERNELS_HPP
#define ESPALIER_SDK_KERNELS_HPP

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "espalier/backend.h"
#include "espalier/sdk/common.hpp"

namespace esp {
inline namespace v0 {

inline int64_t elements(const esp_tensor_type& type) {
  int64_t count = 1;
  for (int32_t i = 0; i < type.rank; ++i) count *= type.dims[i];
  return count;
}
/// Bytes of one element; 0 for none.
inline int64_t dtype_bytes(int32_t dtype) {
  switch (dtype) {
    case ESP_F64:
    case ESP_I64:
      return 8;
    case ESP_F32:
    case ESP_I32:
      return 4;
    case ESP_F16:
    case ESP_BF16:
      return 2;
    case ESP_U8:
    case ESP_BOOL:
      return 1;
    default:
      return 0;
  }
}
/// Extent of dimension `i`; negative counts from the end.
inline int64_t dim(const esp_tensor_type& type, int i) { return type.dims[i < 0 ? i + type.rank : i]; }
inline bool same_shape(const esp_tensor_type& a, const esp_tensor_type& b) {
  return a.rank == b.rank && std::equal(a.dims, a.dims + a.rank, b.dims);
}

/// A parameter's elements as f32, whatever the file holds (f32, f16, bf16). Tells the host afterwards that the file's pages are
/// not needed soon. Errors: `unsupported` for another type.
inline std::vector<float> widened(const esp_host_param& param) {
  const auto count = static_cast<size_t>(elements(param.type));
  std::vector<float> out(count);
  const auto* halves = static_cast<const uint16_t*>(param.data);
  const auto of_bits = [](uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  };
  if (param.type.dtype == ESP_F32) {
    std::memcpy(out.data(), param.data, count * sizeof(float));
  } else if (param.type.dtype == ESP_BF16) {
    for (size_t i = 0; i < count; ++i) out[i] = of_bits(static_cast<uint32_t>(halves[i]) << 16);
  } else if (param.type.dtype == ESP_F16) {
    for (size_t i = 0; i < count; ++i) {
      const uint32_t half = halves[i], sign = (half & 0x8000u) << 16, exponent = (half >> 10) & 31, fraction = half & 0x3ffu;
      if (exponent == 0)  // zero, or a fraction of 2^-14
        out[i] = (sign != 0 ? -1.0F : 1.0F) * static_cast<float>(fraction) * 0x1p-24F;
      else
        out[i] = of_bits(sign | ((exponent == 31 ? 255 : exponent + 112) << 23) | (fraction << 13));
    }
  } else {
    throw unsupported("a parameter of the file is neither f32, f16 nor bf16");
  }
  if (param.drop != nullptr) param.drop(param.drop_ctx);
  return out;
}

/// A node as kernels read it. Borrows the esp_node: valid for the call that carries it.
class node {
 public:
  explicit node(const esp_node& node) : node_(node) {}
  std::string_view op() const { return view(node_.op); }
  std::string_view path() const { return view(node_.path); }
  size_t inputs() const { return node_.input_count; }
  size_t outputs() const { return node_.output_count; }
  const esp_tensor_type& in(size_t i) const {
    if (i >= node_.input_count) throw std::out_of_range("operand " + std::to_string(i) + " of " + std::string(op()));
    return node_.inputs[i];
  }
  const esp_tensor_type& out(size_t i = 0) const {
    if (i >= node_.output_count) throw std::out_of_range("result " + std::to_string(i) + " of " + std::string(op()));
    return node_.outputs[i];
  }
  /// Whether operand `i` is there; optional ones may be left out.
  bool has(size_t i) const { return i < node_.input_count && node_.inputs[i].dtype != ESP_DTYPE_NONE; }
  bool is_param(size_t i) const { return has(i) && node_.input_is_param[i] != 0; }
  // Attributes. The host fills defaults in, so a missing name is an error.
  int64_t integer(std::string_view name) const { return attr(name, ESP_ATTR_INT).int_value; }
  bool flag(std::string_view name) const { return attr(name, ESP_ATTR_BOOL).int_value != 0; }
  double number(std::string_view name) const { return attr(name, ESP_ATTR_FLOAT).float_value; }
  std::string_view string(std::string_view name) const { return view(attr(name, ESP_ATTR_STRING).string_value); }
  std::span<const int64_t> integers(std::string_view name) const {
    const esp_attr& a = attr(name, ESP_ATTR_INTS);
    return {a.ints, static_cast<size_t>(a.count)};
  }

 private:
  const esp_attr& attr(std::string_view name, int32_t kind) const {
    for (uint64_t i = 0; i < node_.attr_count; ++i)
      if (view(node_.attrs[i].name) == name && node_.attrs[i].kind == kind) return node_.attrs[i];
    throw std::invalid_argument(std::string(op()) + " has no attribute '" + std::string(name) + "' of the kind asked for");
  }
  const esp_node& node_;
};

/// A kernel's answer: ok, or the reason why not (lower case, no full stop).
class verdict {
 public:
  static verdict ok() { return verdict(); }
  static verdict no(std::string reason) {
    verdict answer;
    answer.reason_ = std::move(reason);
    return answer;
  }
  explicit operator bool() const { return !reason_; }
  const std::string& reason() const { return *reason_; }

 private:
  verdict() = default;
  std::optional<std::string> reason_;
};

/// Where one run finds the operands of a call. `params[i]` is set where operand i is a parameter, `in[i]` where it is not.
template <class Device>
struct operands {
  const void* const* in;
  void* const* out;
  typename Device::param* const* params;
  void* workspace;
};

/// One call, prepared: holds what it needs of the node.
template <class Device>
class step {
 public:
  virtual ~step() = default;
  virtual void run(Device& device, const operands<Device>& at) = 0;
};

/// Packed copies of parameters: how many elements a kernel keeps for a node, each of `element_bytes`, or, where that is 0, as
/// wide as the parameter's own.
struct kept_copies {
  uint64_t elements = 0, element_bytes = 0;
};

/// Calls of one kernel with equal attributes that do not depend on each other, prepared as one: a few launches instead of a few
/// for each.
template <class Device>
class step_of_many {
 public:
  virtual ~step_of_many() = default;
  /// `at`: of each call, in the order of the nodes that it was prepared for. No call has a workspace.
  virtual void run(Device& device, std::span<const operands<Device>> at) = 0;
};

template <class Device>
struct kernel {
  std::string_view op;
  std::string_view name;
  verdict (*accepts)(const Device& device, const node& node);
  std::unique_ptr<step<Device>> (*prepare)(Device& device, const node& node);
  uint64_t (*workspace)(const Device& device, const node& node) = nullptr;  // bytes; none when null
  kept_copies (*kept)(const Device& device, const node& node) = nullptr;    // none when null
  // For ops that come in hundreds, as the steps of an optimizer do. Null: each call by itself.
  std::unique_ptr<step_of_many<Device>> (*prepare_many)(Device& device, std::span<const node> nodes) = nullptr;
};

/// Kernels of every op, each op's in order of rank.
template <class Device>
class kernel_table {
 public:
  void add(std::span<const kernel<Device>> kernels) {
    for (const kernel<Device>& k : kernels) by_op_[k.op].push_back(k);
  }
  /// The first kernel that accepts, those called `prefer` before all others; refusals go to `refuse(name, reason)`.
  template <class Refuse>
  const kernel<Device>* choose(const Device& device, const node& at_node, std::string_view prefer, Refuse&& refuse) const {
    auto at = by_op_.find(at_node.op());
    if (at == by_op_.end()) return nullptr;
    for (bool preferred : {true, false})
      for (const kernel<Device>& k : at->second) {
        if ((k.name == prefer) != preferred) continue;
        const verdict answer = k.accepts(device, at_node);
        if (answer) return &k;
        refuse(k.name, answer.reason());
      }
    return nullptr;
  }

 private:
  std::unordered_map<std::string_view, std::vector<kernel<Device>>> by_op_;
};

}  // namespace v0
}  // namespace esp
#endif
