// A backend as a table of kernels: for each op a ranked list, each with accepts → ok | reason, prepared at compile, run
// at run. `esp::backend<Component, Device>` turns a device class and its table into the C table of espalier/backend.h.
#ifndef ESPALIER_SDK_BACKEND_HPP
#define ESPALIER_SDK_BACKEND_HPP

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "espalier/backend.h"
#include "espalier/sdk/common.hpp"
#include "espalier/sdk/executable.hpp"
#include "espalier/sdk/kernels.hpp"
#include "espalier/sdk/params.hpp"

namespace esp {
inline namespace v0 {

/// Base of a backend component. `Component` has id, doc, params() as every component, `open(index)` → unique_ptr<Device>, and
/// static `device_count()` and `describe(index)` → esp_device_info. `Device` has
///   static const kernel_table<Device>& kernels();      the ranked kernels of every op
///   std::string_view prefer() const;                   a kernel name to try first, or empty
///   types param, memory (with data()), run_scope (made from Device& around each run);
///   std::unique_ptr<memory> allocate(uint64_t); std::unique_ptr<param> make_param(const esp_host_param&);
///   void copy(void* to, const void* from, uint64_t bytes);
///   void finish_run(), where steps only start work: returns when all that was started has ended;
///   type recording, where work can be recorded and replayed at once, with bool can_record() (of the run that has just ended),
///   begin_recording(), std::unique_ptr<recording> end_recording(), give_up_recording() noexcept, replay(const recording&):
///   runs that come again with the same operands are then recorded at the second time.
template <typename Component, typename Device>
class backend {
 public:
  static constexpr std::string_view kind = "esp.backend/1";
  static const void* vtable() {
    static const esp_backend_vtable table{sizeof(esp_backend_vtable),
                                          0,
                                          device_count,
                                          describe_device,
                                          open_device,
                                          close_device,
                                          support,
                                          allocate,
                                          memory_data,
                                          free_memory,
                                          copy,
                                          make_param,
                                          free_param,
                                          compile,
                                          free_executable,
                                          run,
                                          call_times};
    return &table;
  }

 private:
  using memory = typename Device::memory;
  using param = typename Device::param;
  using executable = table_executable<Device>;
  static Device& of(esp_device* device) { return *reinterpret_cast<Device*>(device); }

  static uint64_t device_count() { return Component::device_count(); }
  static esp_status describe_device(uint64_t index, esp_device_info* out) {
    return guard([&] { *out = Component::describe(index); });
  }
  static esp_status open_device(uint64_t index, const esp_param_value* values, uint64_t count, esp_device** out) {
    return guard([&] {
      Component component;
      detail::assign_all(component, values, count);
      *out = reinterpret_cast<esp_device*>(component.open(index).release());
    });
  }
  static void close_device(esp_device* device) { delete reinterpret_cast<Device*>(device); }
  static esp_status support(esp_device* device, const esp_node* c_node, esp_kernel_choice* out, esp_refusal_sink sink) {
    return guard([&]() -> esp_status {
      const node n(*c_node);
      const auto refuse = [&](std::string_view name, const std::string& reason) {
        if (sink.refuse) sink.refuse(sink.ctx, str(name), str(reason));
      };
      const kernel<Device>* chosen = Device::kernels().choose(of(device), n, of(device).prefer(), refuse);
      if (!chosen) {
        set_error("no kernel for " + std::string(n.op()));
        return ESP_UNSUPPORTED;
      }
      out->struct_size = sizeof(*out);
      out->kernel = str(chosen->name);
      out->workspace_bytes = chosen->workspace ? chosen->workspace(of(device), n) : 0;
      const kept_copies kept = chosen->kept ? chosen->kept(of(device), n) : kept_copies{};
      out->kept_elements = kept.elements;
      out->kept_element_bytes = kept.element_bytes;
      return ESP_OK;
    });
  }
  static esp_status allocate(esp_device* device, uint64_t bytes, esp_memory** out) {
    return guard([&] { *out = reinterpret_cast<esp_memory*>(of(device).allocate(bytes).release()); });
  }
  static void* memory_data(esp_memory* m) { return reinterpret_cast<memory*>(m)->data(); }
  static void free_memory(esp_memory* m) { delete reinterpret_cast<memory*>(m); }
  static esp_status copy(esp_device* device, void* to, const void* from, uint64_t bytes) {
    return guard([&] { of(device).copy(to, from, bytes); });
  }
  static esp_status make_param(esp_device* device, const esp_host_param* host, esp_device_param** out) {
    return guard([&] { *out = reinterpret_cast<esp_device_param*>(of(device).make_param(*host).release()); });
  }
  static void free_param(esp_device_param* p) { delete reinterpret_cast<param*>(p); }
  static esp_status compile(esp_device* device, const esp_partition* partition, esp_executable** out) {
    return guard(
        [&] { *out = reinterpret_cast<esp_executable*>(std::make_unique<executable>(of(device), *partition).release()); });
  }
  static void free_executable(esp_executable* e) { delete reinterpret_cast<executable*>(e); }
  static esp_status run(esp_executable* e, const esp_bindings* bindings) {
    return guard([&] { reinterpret_cast<executable*>(e)->run(*bindings); });
  }
  static esp_status call_times(esp_executable* e, double* out, uint64_t capacity) {
    return guard([&] {
      const auto& times = reinterpret_cast<executable*>(e)->times();
      if (!reinterpret_cast<executable*>(e)->timed()) throw invalid("the executable was compiled without timing");
      if (capacity < times.size()) throw invalid("call_times needs room for " + std::to_string(times.size()) + " values");
      std::copy(times.begin(), times.end(), out);
    });
  }
};

}  // namespace v0
}  // namespace esp
#endif
