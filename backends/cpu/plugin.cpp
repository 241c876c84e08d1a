// The cpu backend as a plugin: one device, the machine's processors.

#include <unistd.h>

#include <espalier/sdk/backend.hpp>
#include <espalier/sdk/plugin.hpp>

#include "backends/cpu/device.h"
#include "backends/cpu/gemm.h"

namespace espalier::cpu {
namespace {

struct Cpu : esp::backend<Cpu, Device> {
  static constexpr std::string_view id = "espalier.backend.cpu";
  static constexpr std::string_view doc = "f32 on the machine's processors: own tiled kernels, oneDNN, Eigen";

  int64_t threads = 0;
  std::string prefer = "auto";
  static auto params() {
    return std::tuple{
        esp::param{&Cpu::threads, "threads", 0, 1024, "threads that compute; 0: every processor that the process may use"},
        esp::choice{&Cpu::prefer,
                    "prefer",
                    {"auto", "tiled", "winograd", "onednn", "eigen", "simple"},
                    "kernels to try before the ranked list; for tests and measurements"}};
  }

  static uint64_t device_count() { return 1; }
  static esp_device_info describe(uint64_t index) {
    if (index != 0) throw esp::invalid("there is one cpu device, number 0");
    static const std::string text = std::to_string(kLanes * 32) +
                                    "-bit vectors"
#if defined(ESPALIER_CPU_ONEDNN)
                                    ", oneDNN " +
                                    std::to_string(DNNL_VERSION_MAJOR) + "." + std::to_string(DNNL_VERSION_MINOR)
#endif
                                    + ", Eigen";
    esp_device_info info{};
    info.struct_size = sizeof info;
    info.flags = ESP_DEVICE_HOST_ACCESSIBLE;
    info.name = esp::str("cpu");
    info.description = esp::str(text);
    info.memory_bytes = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
    return info;
  }
  std::unique_ptr<Device> open(uint64_t index) const {
    if (index != 0) throw esp::invalid("there is one cpu device, number 0");
    return std::make_unique<Device>(static_cast<int>(threads), prefer == "auto" ? "" : prefer);
  }
};

}  // namespace
}  // namespace espalier::cpu

ESP_PLUGIN("espalier.cpu", "0.1.0", "espalier", "none declared", espalier::cpu::Cpu)
