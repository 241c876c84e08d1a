// The cuda backend as a plugin: every device that the driver shows, and some that can be planned for.

#include <espalier/sdk/backend.hpp>
#include <espalier/sdk/plugin.hpp>
#include <map>

#include "backends/cuda/described.h"
#include "backends/cuda/device.h"

namespace espalier::cuda {
namespace {

struct Cuda : esp::backend<Cuda, Device> {
  static constexpr std::string_view id = "espalier.backend.cuda";
  static constexpr std::string_view doc = "NVIDIA GPUs: cuBLASLt, cuDNN and own kernels; f32, bf16, f16, accumulated in f32";
  bool graphs = true, tf32 = false;
  static auto params() {
    return std::tuple{esp::param{&Cuda::graphs, "graphs", "record a run that comes again as a CUDA graph and replay it"},
                      esp::param{&Cuda::tf32, "tf32", "round what f32 products and convolutions read to TF32, which is faster"}};
  }

  /// Those of this machine first, then the described ones.
  static uint64_t device_count() { return static_cast<uint64_t>(cuda::device_count(nullptr)) + described_devices().size(); }
  static esp_device_info describe(uint64_t index) {
    static std::map<uint64_t, DeviceFacts> all;  // names are borrowed for as long as the plugin is loaded
    const DeviceFacts* plan = description(index);
    const DeviceFacts& facts =
        plan ? *plan : all.try_emplace(index, cuda::describe_device(static_cast<int>(index))).first->second;
    esp_device_info info{};
    info.struct_size = sizeof info;
    info.flags = facts.plans_only ? ESP_DEVICE_PLANS_ONLY : 0;
    info.name = esp::str(facts.name);
    info.description = esp::str(facts.description);
    info.memory_bytes = facts.memory_bytes;
    return info;
  }
  std::unique_ptr<Device> open(uint64_t index) const {
    const DeviceFacts* plan = description(index);
    return std::make_unique<Device>(plan ? open_description(*plan) : open_seam(static_cast<int>(index), {.tf32 = tf32}), graphs);
  }

 private:
  /// Null for a device of this machine. Errors: esp::invalid with the reason why there is none with this index.
  static const DeviceFacts* description(uint64_t index) {
    std::string why;
    const auto count = static_cast<uint64_t>(cuda::device_count(&why));
    if (index < count) return nullptr;
    if (index < count + described_devices().size()) return &described_devices()[index - count];
    if (count == 0) throw esp::invalid("there is no CUDA device: " + why);
    throw esp::invalid("there is no CUDA device " + std::to_string(index) + ", this machine has " + std::to_string(count));
  }
};

}  // namespace
}  // namespace espalier::cuda

ESP_PLUGIN("espalier.cuda", "0.1.0", "espalier", "none declared", espalier::cuda::Cuda)
