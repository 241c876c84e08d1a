#include "backends/cpu/device.h"

#include <cstring>

#include "backends/cpu/kernels/kernels.h"
#include "backends/cpu/widen.h"

namespace espalier::cpu {

const void* Param::find(const std::string& layout) const {
  const auto at = copies_.find(layout);
  return at == copies_.end() ? nullptr : at->second.floats();
}

char* Param::add(const std::string& layout, int64_t bytes) {
  return static_cast<char*>(copies_.insert_or_assign(layout, Memory(static_cast<uint64_t>(bytes))).first->second.data());
}

void Device::copy(void* to, const void* from, uint64_t bytes) {
  const run_scope scope(*this);
  parallel_ranges(static_cast<int64_t>(bytes), 1 << 22, [&](int64_t begin, int64_t end) {
    std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin, static_cast<size_t>(end - begin));
  });
}

float* Device::scratch(int thread, int64_t floats) {
  Memory& memory = scratch_[static_cast<size_t>(thread)];
  memory.reserve(static_cast<uint64_t>(floats) * 4);
  return memory.floats();
}

float* Device::shared_scratch(int64_t floats) {
  shared_.reserve(static_cast<uint64_t>(floats) * 4);
  return shared_.floats();
}

const float* Device::floats(const Operands& at, size_t i) {
  Param* param = at.params[i];
  if (!param) return static_cast<const float*>(at.in[i]);
  if (const void* known = param->find("plain")) return static_cast<const float*>(known);
  const int64_t count = esp::elements(param->type());
  auto* plain = reinterpret_cast<float*>(param->add("plain", count * 4));
  parallel_ranges(count, 1 << 18, [&](int64_t begin, int64_t end) {
    widen(param->data(), param->type().dtype, begin, end - begin, plain + begin);
  });
  return plain;
}

Weight weight_of(const Operands& at, size_t i) {
  if (Param* param = at.params[i]) return {param, param->data(), param->type().dtype};
  return {nullptr, at.in[i], ESP_F32};
}

Verdict all_f32(const Node& node) {
  const auto is_f32 = [](const esp_tensor_type& type) { return type.dtype == ESP_F32; };
  for (size_t i = 0; i < node.inputs(); ++i)
    if (node.has(i) && !is_f32(node.in(i))) return Verdict::no("operand " + std::to_string(i) + " is not f32");
  if (!is_f32(node.out())) return Verdict::no("the result is not f32");
  return Verdict::ok();
}

const esp::kernel_table<Device>& Device::kernels() {
  static const esp::kernel_table<Device>* table = [] {
    auto* made = new esp::kernel_table<Device>;
#define ESP_CPU_KERNELS(stem) made->add(kernels::stem());
#include "backends/cpu/kernels/kernel_list.def"
#undef ESP_CPU_KERNELS
    return made;
  }();
  return *table;
}

}  // namespace espalier::cpu
