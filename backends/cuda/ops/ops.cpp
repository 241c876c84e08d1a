#include "backends/cuda/ops/ops.h"

namespace espalier::cuda::ops {
namespace {

constexpr int64_t kMostElements = (int64_t{1} << 31) - 1;  // kernels count in 32 bits, as the libraries' extents do

Verdict check(const esp_tensor_type& type, int32_t dtype) {
  if (type.dtype != dtype) return Verdict::no("operands and results are of several element types");
  if (esp::elements(type) > kMostElements)
    return Verdict::no("a tensor of " + std::to_string(esp::elements(type)) + " elements, which 32 bits do not count");
  return Verdict::ok();
}

Verdict all_of(const Node& node, int32_t dtype) {
  for (size_t i = 0; i < node.inputs(); ++i)
    if (node.has(i))
      if (Verdict answer = check(node.in(i), dtype); !answer) return answer;
  for (size_t i = 0; i < node.outputs(); ++i)
    if (Verdict answer = check(node.out(i), dtype); !answer) return answer;
  return Verdict::ok();
}

}  // namespace

bool is_floating(int32_t dtype) { return dtype == ESP_F32 || dtype == ESP_F16 || dtype == ESP_BF16; }

Verdict accepts_floats(const Device&, const Node& node) {
  const int32_t dtype = node.out().dtype;
  if (!is_floating(dtype)) return Verdict::no("it computes in f32, f16 or bf16");
  return all_of(node, dtype);
}

Verdict accepts_f32(const Device&, const Node& node) {
  if (node.out().dtype != ESP_F32) return Verdict::no("it computes in f32");
  return all_of(node, ESP_F32);
}

Verdict accepts_types(const Node& node, std::initializer_list<int32_t> in, int32_t out) {
  size_t i = 0;
  for (const int32_t dtype : in) {
    if (!is_floating(dtype)) return Verdict::no("it takes f32, f16 or bf16");
    if (Verdict answer = check(node.in(i++), dtype); !answer) return answer;
  }
  for (i = 0; i < node.outputs(); ++i)
    if (Verdict answer = check(node.out(i), out); !answer) return answer;
  return Verdict::ok();
}

const void* data(Device& device, const Operands& at, size_t i, int32_t dtype, Layout layout) {
  return at.params[i] ? at.params[i]->get(device, dtype, layout) : at.in[i];
}

}  // namespace espalier::cuda::ops
