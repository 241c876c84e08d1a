#include "plugins/backend_adapter.h"

#include <espalier/backend.h>

#include <deque>
#include <functional>

#include "core/base/error.h"
#include "core/base/text.h"
#include "plugins/host.h"
#include "plugins/node_view.h"

namespace espalier::plugins {
namespace {

using lower::CallList;
using lower::KernelChoice;
using lower::Place;

// The table and the opened device; everything that a backend made keeps it alive.
struct Device {
  std::string who;  // component id, for messages
  const esp_backend_vtable* table = nullptr;
  esp_device* handle = nullptr;
  ~Device() {
    if (handle != nullptr) table->close_device(handle);
  }
};
using DevicePtr = std::shared_ptr<Device>;

// A call that makes a thing: a success that gives nothing is a fault of the plugin.
template <typename T, typename F>
T* made(const std::string& who, const char* call, F&& f) {
  T* thing = nullptr;
  checked(who, call, [&] { return f(&thing); });
  if (thing == nullptr) throw Error("[" + who + "] " + call + " succeeded and gave nothing");
  return thing;
}

class PluginParam final : public lower::DeviceParam {
 public:
  PluginParam(DevicePtr device, const lower::HostParam& param)
      : device_(std::move(device)), drop_(param.drop), name_(param.name) {
    esp_host_param host{};
    host.struct_size = sizeof host;
    host.flags = param.mapped ? uint32_t{ESP_PARAM_MAPPED} : 0;
    host.name = to_esp(std::string_view(name_));
    host.type = to_esp(param.type);
    host.data = param.data;
    if (drop_) {
      host.drop_ctx = &drop_;
      host.drop = [](void* ctx) { contained([&] { (*static_cast<std::function<void()>*>(ctx))(); }); };
    }
    handle_ = made<esp_device_param>(device_->who, "make_param",
                                     [&](auto out) { return device_->table->make_param(device_->handle, &host, out); });
  }
  ~PluginParam() override { device_->table->free_param(handle_); }
  esp_device_param* handle() const { return handle_; }

 private:
  DevicePtr device_;
  std::function<void()> drop_;  // called by the plugin through its address: the object never moves
  std::string name_;
  esp_device_param* handle_ = nullptr;
};

class PluginMemory final : public lower::DeviceMemory {
 public:
  PluginMemory(DevicePtr device, uint64_t bytes) : device_(std::move(device)) {
    handle_ = made<esp_memory>(device_->who, "allocate",
                               [&](auto out) { return device_->table->allocate(device_->handle, bytes, out); });
  }
  ~PluginMemory() override { device_->table->free_memory(handle_); }
  void* data() override { return device_->table->memory_data(handle_); }

 private:
  DevicePtr device_;
  esp_memory* handle_ = nullptr;
};

class PluginExecutable final : public lower::Executable {
 public:
  PluginExecutable(DevicePtr device, const esp_partition& partition)
      : device_(std::move(device)), calls_(partition.call_count), timed_((partition.flags & ESP_COMPILE_TIMED) != 0) {
    handle_ = made<esp_executable>(device_->who, "compile",
                                   [&](auto out) { return device_->table->compile(device_->handle, &partition, out); });
  }
  ~PluginExecutable() override { device_->table->free_executable(handle_); }

  void run(void* arena, const std::vector<const void*>& inputs, const std::vector<void*>& outputs,
           const std::vector<const void*>& constants, const std::vector<std::shared_ptr<lower::DeviceParam>>& params) override {
    std::vector<esp_device_param*> handles;
    for (const auto& param : params)
      handles.push_back(param == nullptr ? nullptr : static_cast<const PluginParam&>(*param).handle());
    const esp_bindings bindings{sizeof(esp_bindings), 0, arena, inputs.data(), outputs.data(), constants.data(), handles.data()};
    checked(device_->who, "run", [&] { return device_->table->run(handle_, &bindings); });
  }

  std::vector<double> last_call_ms() const override {
    if (!timed_) return {};
    std::vector<double> ms(calls_);
    checked(device_->who, "call_times", [&] { return device_->table->call_times(handle_, ms.data(), ms.size()); });
    return ms;
  }

 private:
  DevicePtr device_;
  uint64_t calls_;
  bool timed_;
  esp_executable* handle_ = nullptr;
};

int32_t space_of(lower::Space space) { return static_cast<int32_t>(space); }  // both lists have one order
static_assert(static_cast<int32_t>(lower::Space::kArena) == ESP_SPACE_ARENA &&
              static_cast<int32_t>(lower::Space::kInput) == ESP_SPACE_INPUT);
static_assert(static_cast<int32_t>(lower::Space::kOutput) == ESP_SPACE_OUTPUT &&
              static_cast<int32_t>(lower::Space::kParam) == ESP_SPACE_PARAM);
static_assert(static_cast<int32_t>(lower::Space::kConstant) == ESP_SPACE_CONSTANT &&
              static_cast<int32_t>(lower::Space::kNone) == ESP_SPACE_NONE);

class PluginBackend final : public lower::Backend {
 public:
  PluginBackend(DevicePtr device, const esp_device_info& info)
      : device_(std::move(device)),
        name_(device_->who.substr(device_->who.rfind('.') + 1)),
        description_(printable(view(info.name)) + ": " + printable(view(info.description), 400)),
        flags_(info.flags),
        memory_bytes_(info.memory_bytes) {}

  std::string name() const override { return name_; }
  std::string describe() const override { return description_; }
  bool host_accessible() const override { return (flags_ & ESP_DEVICE_HOST_ACCESSIBLE) != 0; }
  bool plans_only() const override { return (flags_ & ESP_DEVICE_PLANS_ONLY) != 0; }
  uint64_t memory_bytes() const override { return memory_bytes_; }

  KernelChoice support(const OpCall& call, const std::string& path, const std::vector<bool>& is_param) override {
    const NodeView node(call, path, is_param);
    KernelChoice choice;
    esp_kernel_choice out{};
    out.struct_size = sizeof out;
    const esp_refusal_sink sink{
        &choice, [](void* ctx, esp_str kernel, esp_str reason) {
          contained([&] {
            static_cast<KernelChoice*>(ctx)->refusals.push_back({printable(view(kernel)), printable(view(reason), 400)});
          });
        }};
    const esp_status status =
        guarded(device_->who, "support", [&] { return device_->table->support(device_->handle, &node.node(), &out, sink); });
    if (status == ESP_UNSUPPORTED) return choice;
    if (status != ESP_OK) throw_status(device_->who, "support", status);
    choice.accepted = true;
    choice.kernel = printable(view(out.kernel));
    choice.workspace_bytes = out.workspace_bytes;
    choice.kept = {out.kept_elements, out.kept_element_bytes};
    return choice;
  }

  std::unique_ptr<lower::DeviceMemory> allocate(uint64_t bytes) override {
    return std::make_unique<PluginMemory>(device_, bytes);
  }
  void copy(void* to, const void* from, uint64_t bytes) override {
    checked(device_->who, "copy", [&] { return device_->table->copy(device_->handle, to, from, bytes); });
  }
  std::shared_ptr<lower::DeviceParam> make_param(const lower::HostParam& param) override {
    return std::make_shared<PluginParam>(device_, param);
  }

  std::unique_ptr<lower::Executable> compile(const CallList& list, size_t first, size_t last, bool timed) override {
    std::deque<OpCall> op_calls;  // deques: the views below borrow their elements
    std::deque<NodeView> nodes;
    std::deque<std::vector<esp_place>> places;
    std::vector<esp_call> calls;
    const auto keep = [&](const std::vector<Place>& from) {
      std::vector<esp_place>& to = places.emplace_back();
      for (const Place& place : from) to.push_back({space_of(place.space), 0, place.at});
      return to.data();
    };
    for (size_t i = first; i < last; ++i) {
      const lower::Call& call = list.calls[i];
      const Node& node = list.graph->node(call.node);
      std::vector<bool> is_param;
      for (const Place& place : call.inputs) is_param.push_back(place.space == lower::Space::kParam);
      op_calls.push_back(list.graph->call(node));
      nodes.emplace_back(op_calls.back(), node.path, is_param);
      calls.push_back({nodes.back().node(), keep(call.inputs), keep(call.results), call.workspace_offset, call.workspace_bytes});
    }
    const esp_partition partition{sizeof(esp_partition), timed ? uint32_t{ESP_COMPILE_TIMED} : 0, calls.data(), calls.size()};
    return std::make_unique<PluginExecutable>(device_, partition);
  }

 private:
  DevicePtr device_;
  std::string name_, description_;
  uint32_t flags_;
  uint64_t memory_bytes_;
};

esp_device_info describe(const Device& device, uint64_t index) {
  esp_device_info info{};
  info.struct_size = sizeof info;
  checked(device.who, "describe_device", [&] { return device.table->describe_device(index, &info); });
  return info;
}

/// The index of the device called `wanted`, a name or a number; empty: the first that runs.
uint64_t find_device(const Device& device, const std::string& wanted, const std::function<void(uint64_t)>& open) {
  const uint64_t count = guarded(device.who, "device_count", [&] { return device.table->device_count(); });
  std::vector<std::string> names;
  std::string planning;
  for (uint64_t i = 0; i < count; ++i) {
    const esp_device_info info = describe(device, i);
    const bool plans_only = (info.flags & ESP_DEVICE_PLANS_ONLY) != 0;
    names.push_back(printable(view(info.name)));
    if (wanted.empty() ? !plans_only : wanted == names.back() || wanted == std::to_string(i)) return i;
    if (plans_only) planning += (planning.empty() ? "" : ", ") + names.back();
  }
  std::string why;
  if (wanted.empty()) {
    try {
      open(count);  // the backend knows why there is none
    } catch (const Error& error) {
      why = error.what();
    }
    if (why.empty()) why = "[" + device.who + "] there is no device";
    if (!planning.empty()) why += "; what a run would take can be planned with --dry-run or --explain for --device " + planning;
    throw UserError(why);
  }
  throw UserError("[" + device.who + "] there is no device '" + printable(wanted) + "'" + did_you_mean(wanted, names) +
                  "; there " + (names.empty() ? "is none" : "are " + join(names, ", ")));
}

}  // namespace

std::shared_ptr<lower::Backend> open_backend(const Component& component, const ParamValues& params, const std::string& name) {
  auto device = std::make_shared<Device>();
  device->who = component.id;
  device->table = static_cast<const esp_backend_vtable*>(component.vtable);
  const auto open = [&](uint64_t index) {
    device->handle = made<esp_device>(device->who, "open_device", [&](auto out) {
      return device->table->open_device(index, params.values().data(), params.values().size(), out);
    });
  };
  const uint64_t index = find_device(*device, name, open);
  const esp_device_info info = describe(*device, index);
  open(index);
  return std::make_shared<PluginBackend>(std::move(device), info);
}

}  // namespace espalier::plugins
