// The cuda backend as a plugin: every device that the driver shows.

#include <espalier/sdk/backend.hpp>
#include <espalier/sdk/plugin.hpp>
#include <map>

#include "backends/cuda/device.h"

namespace espalier::cuda {
namespace {

struct Cuda : esp::backend<Cuda, Device> {
  static constexpr std::string_view id = "espalier.backend.cuda";
  static constexpr std::string_view doc = "NVIDIA GPUs: cuBLASLt, cuDNN and own kernels; f32, bf16, f16, accumulated in f32";
  static auto params() { return std::tuple{}; }

  static uint64_t device_count() { return static_cast<uint64_t>(cuda::device_count(nullptr)); }
  static esp_device_info describe(uint64_t index) {
    static std::map<uint64_t, DeviceFacts> all;  // names are borrowed for as long as the plugin is loaded
    const DeviceFacts& facts = all.try_emplace(index, cuda::describe_device(check(index))).first->second;
    esp_device_info info{};
    info.struct_size = sizeof info;
    info.name = esp::str(facts.name);
    info.description = esp::str(facts.description);
    info.memory_bytes = facts.memory_bytes;
    return info;
  }
  std::unique_ptr<Device> open(uint64_t index) const { return std::make_unique<Device>(open_seam(check(index))); }

 private:
  static int check(uint64_t index) {
    std::string why;
    const int count = cuda::device_count(&why);
    if (count == 0) throw esp::invalid("there is no CUDA device: " + why);
    if (index >= static_cast<uint64_t>(count))
      throw esp::invalid("there is no CUDA device " + std::to_string(index) + ", this machine has " + std::to_string(count));
    return static_cast<int>(index);
  }
};

}  // namespace
}  // namespace espalier::cuda

ESP_PLUGIN("espalier.cuda", "0.1.0", "espalier", "none declared", espalier::cuda::Cuda)
