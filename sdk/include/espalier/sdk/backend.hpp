// A backend as a table of kernels: for each op a ranked list, each with accepts → ok | reason, prepared at compile, run
// at run. `esp::backend<Component, Device>` turns a device class and its table into the C table of espalier/backend.h.
#ifndef ESPALIER_SDK_BACKEND_HPP
#define ESPALIER_SDK_BACKEND_HPP

#include <algorithm>
#include <chrono>
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
#include "espalier/sdk/params.hpp"

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

template <class Device>
struct kernel {
  std::string_view op;
  std::string_view name;
  verdict (*accepts)(const Device& device, const node& node);
  std::unique_ptr<step<Device>> (*prepare)(Device& device, const node& node);
  uint64_t (*workspace)(const Device& device, const node& node) = nullptr;  // bytes; none when null
  kept_copies (*kept)(const Device& device, const node& node) = nullptr;    // none when null
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

/// A compiled partition: prepared steps and the places of their operands.
template <class Device>
class table_executable {
 public:
  table_executable(Device& device, const esp_partition& partition)
      : device_(device), timed_(partition.flags & ESP_COMPILE_TIMED) {
    for (uint64_t i = 0; i < partition.call_count; ++i) {
      const esp_call& call = partition.calls[i];
      const node n(call.node);
      const kernel<Device>* chosen = Device::kernels().choose(device, n, device.prefer(), [](auto...) {});
      if (!chosen) throw invalid("no kernel for " + std::string(n.op()) + " at " + std::string(n.path()));
      Compiled compiled;
      compiled.work = chosen->prepare(device, n);
      compiled.inputs.assign(call.inputs, call.inputs + call.node.input_count);
      compiled.outputs.assign(call.outputs, call.outputs + call.node.output_count);
      compiled.workspace_offset = call.workspace_offset;
      calls_.push_back(std::move(compiled));
    }
    times_.assign(calls_.size(), 0.0);
  }

  void run(const esp_bindings& bindings) {
    const typename Device::run_scope scope(device_);
    if constexpr (kRecords) {
      if (!timed_ && replayed(bindings)) return finish();
    }
    start(bindings);
    finish();
    if constexpr (kRecords) repeatable_ = device_.can_record();
  }
  bool timed() const { return timed_; }
  const std::vector<double>& times() const { return times_; }

 private:
  struct Compiled {
    std::unique_ptr<step<Device>> work;
    std::vector<esp_place> inputs, outputs;
    uint64_t workspace_offset = 0;
  };
  static constexpr bool kRecords = requires { typename Device::recording; };
  template <class D, bool Records>
  struct recording_of {
    using type = int;
  };
  template <class D>
  struct recording_of<D, true> {
    using type = typename D::recording;
  };
  using Recording = typename recording_of<Device, kRecords>::type;

  void start(const esp_bindings& bindings) {
    std::vector<const void*> in;
    std::vector<void*> out;
    std::vector<typename Device::param*> params;
    auto* arena = static_cast<char*>(bindings.arena);
    for (size_t i = 0; i < calls_.size(); ++i) {
      const Compiled& call = calls_[i];
      in.assign(call.inputs.size(), nullptr);
      params.assign(call.inputs.size(), nullptr);
      out.assign(call.outputs.size(), nullptr);
      for (size_t k = 0; k < call.inputs.size(); ++k) {
        const esp_place& place = call.inputs[k];
        if (place.space == ESP_SPACE_PARAM)
          params[k] = reinterpret_cast<typename Device::param*>(bindings.params[place.at]);
        else
          in[k] = locate(place, arena, bindings);
      }
      for (size_t k = 0; k < call.outputs.size(); ++k)
        out[k] = const_cast<void*>(locate(call.outputs[k], arena, bindings));  // results are the run's to write
      const auto begin = std::chrono::steady_clock::now();
      call.work->run(device_, {in.data(), out.data(), params.data(), arena + call.workspace_offset});
      if (!timed_) continue;
      finish();
      times_[i] = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    }
  }

  /// Replays the recording of an earlier run with the same operands; makes it where the run before this one could have been
  /// recorded. False when this run is to be started step by step.
  bool replayed(const esp_bindings& bindings) {
    std::vector<const void*> now = places_of(bindings);
    if (now != recorded_places_) {
      recording_.reset();
      repeatable_ = false;
      recorded_places_ = std::move(now);
    }
    if (!recording_ && repeatable_) {
      device_.begin_recording();
      try {
        start(bindings);
        recording_ = device_.end_recording();
      } catch (...) {
        device_.give_up_recording();
        throw;
      }
    }
    if (recording_) device_.replay(*recording_);
    return recording_ != nullptr;
  }
  /// Every address that a run depends on.
  std::vector<const void*> places_of(const esp_bindings& bindings) const {
    std::vector<const void*> places{bindings.arena};
    const auto add = [&](const esp_place& place) {
      if (place.space == ESP_SPACE_PARAM)
        places.push_back(bindings.params[place.at]);
      else if (place.space != ESP_SPACE_ARENA)
        places.push_back(locate(place, nullptr, bindings));
    };
    for (const Compiled& call : calls_) {
      for (const esp_place& place : call.inputs) add(place);
      for (const esp_place& place : call.outputs) add(place);
    }
    return places;
  }

  void finish() {
    if constexpr (requires { device_.finish_run(); }) device_.finish_run();
  }
  static const void* locate(const esp_place& place, const char* arena, const esp_bindings& bindings) {
    switch (place.space) {
      case ESP_SPACE_ARENA:
        return arena + place.at;
      case ESP_SPACE_INPUT:
        return bindings.inputs[place.at];
      case ESP_SPACE_OUTPUT:
        return bindings.outputs[place.at];
      case ESP_SPACE_CONSTANT:
        return bindings.constants[place.at];
      default:
        return nullptr;
    }
  }
  Device& device_;
  bool timed_;
  std::vector<Compiled> calls_;
  std::vector<double> times_;
  bool repeatable_ = false;  // the last run only gave work to the device
  std::unique_ptr<Recording> recording_;
  std::vector<const void*> recorded_places_;
};

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
