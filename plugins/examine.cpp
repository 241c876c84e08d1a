// What a plugin's table must be before anything in it is called.

#include <espalier/backend.h>
#include <espalier/loss.h>
#include <espalier/metric.h>
#include <espalier/prune.h>
#include <fmt/format.h>

#include <algorithm>

#include "core/base/text.h"
#include "plugins/elf.h"
#include "plugins/host.h"
#include "plugins/loader.h"

namespace espalier::plugins {
namespace {

constexpr uint64_t kMaxComponents = 1024;
constexpr uint32_t kMaxStruct = 1 << 16;  // bytes: a later minor appends, and not without end

// Reverse-domain or espalier.*: small letters, digits, '-', '_', parts joined by single dots.
bool is_id(std::string_view text) {
  if (text.empty() || text.size() > 128) return false;
  char before = '.';
  for (char c : text) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!word && (c != '.' || before == '.')) return false;
    before = c;
  }
  return before != '.' && text.find('.') != std::string_view::npos;
}

// "esp.prune/1": a name, a slash, a revision.
bool is_kind(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == text.size() || text.size() > 64) return false;
  return std::all_of(text.begin() + static_cast<std::ptrdiff_t>(slash) + 1, text.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

// The first thing in which plugin and host differ, with both values.
std::string handshake_fault(const esp_plugin& plugin) {
  if (plugin.magic != ESP_MAGIC) return fmt::format("wrong magic {:#010x}, want {:#010x}", plugin.magic, uint32_t{ESP_MAGIC});
  if (std::string fault = abi_fault(plugin.abi_major, plugin.abi_minor, plugin.need_minor); !fault.empty()) return fault;
  if (plugin.struct_size < sizeof(esp_plugin) || plugin.struct_size > kMaxStruct)
    return fmt::format("esp_plugin has {} bytes, this host reads {}; rebuild the plugin", plugin.struct_size, sizeof(esp_plugin));
  if (plugin.need_opset > ESP_OPSET)
    return fmt::format("needs op set {}, this host has {}; update the host", plugin.need_opset, int{ESP_OPSET});
  if ((plugin.build_flags & ESP_BUILD_ASAN) != 0 && !host_has_asan())
    return "built with AddressSanitizer, this espalier is not; rebuild it with the same preset";
  if ((plugin.build_flags & ESP_BUILD_TSAN) != 0 && !host_has_tsan())
    return "built with ThreadSanitizer, this espalier is not; rebuild it with the same preset";
  if (plugin.reserved != 0) return "a reserved field is not zero";
  return "";
}

std::string text_fault(esp_str text, const char* what) {
  if (text.size > 0 && text.data == nullptr) return std::string(what) + " has a size but no text";
  if (text.size > 65536) return fmt::format("{} has {} bytes", what, text.size);
  return "";
}

std::string missing(std::initializer_list<std::pair<const char*, bool>> functions) {
  std::vector<std::string> names;
  for (const auto& [name, present] : functions)
    if (!present) names.emplace_back(name);
  return names.empty() ? "" : "lacks " + join(names, ", ");
}

std::string vtable_fault(const std::string& kind, const void* vtable) {
  if (vtable == nullptr) return "has no vtable";
  uint32_t size = 0;
  std::memcpy(&size, vtable, sizeof size);
  const size_t want = kind == "esp.prune/1"    ? sizeof(esp_prune_vtable)
                      : kind == "esp.loss/1"   ? sizeof(esp_loss_vtable)
                      : kind == "esp.metric/1" ? sizeof(esp_metric_vtable)
                                               : sizeof(esp_backend_vtable);
  if (size < want || size > kMaxStruct) return fmt::format("vtable has {} bytes, this host reads {}", size, want);
  if (kind == "esp.prune/1") {
    const auto& v = *static_cast<const esp_prune_vtable*>(vtable);
    if ((v.save == nullptr) != (v.load == nullptr)) return "has one of save and load, want both or neither";
    return missing({{"create", v.create != nullptr}, {"destroy", v.destroy != nullptr}, {"next", v.next != nullptr}});
  }
  if (kind == "esp.loss/1") {
    const auto& v = *static_cast<const esp_loss_vtable*>(vtable);
    if (std::string fault = text_fault(v.default_name, "default name"); !fault.empty()) return fault;
    return missing({{"create", v.create != nullptr}, {"destroy", v.destroy != nullptr}, {"emit", v.emit != nullptr}});
  }
  if (kind == "esp.metric/1") {
    const auto& v = *static_cast<const esp_metric_vtable*>(vtable);
    if (std::string fault = text_fault(v.default_name, "default name"); !fault.empty()) return fault;
    const uint32_t known = ESP_METRIC_OUTPUTS | ESP_METRIC_PICTURES;
    if (v.reads == 0 || v.reads == known || (v.reads & ~known) != 0)
      return fmt::format("reads {:#x}; it is one of ESP_METRIC_OUTPUTS and ESP_METRIC_PICTURES", v.reads);
    return missing({{"create", v.create != nullptr}, {"destroy", v.destroy != nullptr}, {"measure", v.measure != nullptr}});
  }
  const auto& v = *static_cast<const esp_backend_vtable*>(vtable);
  return missing({{"device_count", v.device_count != nullptr},
                  {"describe_device", v.describe_device != nullptr},
                  {"open_device", v.open_device != nullptr},
                  {"close_device", v.close_device != nullptr},
                  {"support", v.support != nullptr},
                  {"allocate", v.allocate != nullptr},
                  {"memory_data", v.memory_data != nullptr},
                  {"free_memory", v.free_memory != nullptr},
                  {"copy", v.copy != nullptr},
                  {"make_param", v.make_param != nullptr},
                  {"free_param", v.free_param != nullptr},
                  {"compile", v.compile != nullptr},
                  {"free_executable", v.free_executable != nullptr},
                  {"run", v.run != nullptr},
                  {"call_times", v.call_times != nullptr}});
}

// Reads one component into `out`; faults carry its id.
void examine_component(const esp_component& raw, size_t index, Verdict& verdict, ErrorList& errors) {
  Component component;
  for (const std::string& fault : {text_fault(raw.kind, "kind"), text_fault(raw.id, "id"), text_fault(raw.doc, "doc")})
    if (!fault.empty()) return errors.add(fmt::format("component {}: {}", index, fault));
  component.kind = view(raw.kind);
  component.id = view(raw.id);
  component.doc = view(raw.doc);
  component.file = verdict.file;
  component.plugin_id = verdict.id;
  component.plugin_version = verdict.version;
  component.vtable = raw.vtable;
  if (!is_id(component.id))
    return errors.add(
        fmt::format("component {}: id '{}' is not in reverse-domain form (com.example.name)", index, printable(component.id)));
  const std::string who = "component " + component.id + ": ";
  if (!is_kind(component.kind)) return errors.add(who + "kind '" + printable(component.kind) + "' is not of the form esp.name/1");
  component.known_kind = component.kind == "esp.prune/1" || component.kind == "esp.loss/1" || component.kind == "esp.metric/1" ||
                         component.kind == "esp.backend/1";
  if (component.known_kind) {  // what an unknown kind's tables look like is not known here
    if (component.doc.empty()) errors.add(who + "has no doc");
    if (const std::string fault = vtable_fault(component.kind, raw.vtable); !fault.empty()) errors.add(who + fault);
    if (raw.param_count > 256 || (raw.param_count > 0 && raw.params == nullptr)) {
      errors.add(fmt::format("{}{} parameters{}", who, raw.param_count, raw.params == nullptr ? " at null" : ", more than 256"));
    } else {
      ErrorList of_params;
      component.params = read_specs({raw.params, static_cast<size_t>(raw.param_count)}, of_params);
      for (const std::string& fault : of_params.messages()) errors.add(who + fault);
    }
  }
  for (const Component& other : verdict.components)
    if (other.id == component.id) errors.add(who + "offered twice by this plugin");
  verdict.components.push_back(std::move(component));
}

}  // namespace

std::string abi_fault(uint32_t major, uint32_t minor, uint32_t need_minor) {
  if (major != ESP_ABI_MAJOR || minor < ESP_ABI_OLDEST_MINOR)
    return fmt::format("built for plugin ABI {}.{}, this host takes {}.{} and later minors; rebuild the plugin", major, minor,
                       int{ESP_ABI_MAJOR}, int{ESP_ABI_OLDEST_MINOR});
  if (need_minor > ESP_ABI_MINOR)
    return fmt::format("needs plugin ABI {}.{}, this host has {}.{}; update the host, or build the plugin against older headers",
                       major, need_minor, int{ESP_ABI_MAJOR}, int{ESP_ABI_MINOR});
  return "";
}

void examine_plugin(const esp_plugin* plugin, Verdict& verdict) {
  const auto refuse_all = [](Verdict& of, std::string why) {
    of.reason = std::move(why);
    of.components.clear();
  };
  verdict.reason = handshake_fault(*plugin);
  if (!verdict.reason.empty()) return;
  ErrorList errors;
  for (const auto& [text, what] :
       {std::pair{plugin->id, "id"}, {plugin->version, "version"}, {plugin->vendor, "vendor"}, {plugin->license, "license"}})
    if (const std::string fault = text_fault(text, what); !fault.empty()) errors.add(fault);
  if (errors.empty()) {
    verdict.id = printable(view(plugin->id));
    verdict.version = printable(view(plugin->version));
    verdict.vendor = printable(view(plugin->vendor));
    verdict.license = printable(view(plugin->license));
    if (!is_id(view(plugin->id))) errors.add("plugin id '" + verdict.id + "' is not in reverse-domain form (com.example.name)");
    if (verdict.version.empty()) errors.add("no version");
    if (plugin->component_count == 0) errors.add("it offers no component");
    if (plugin->component_count > kMaxComponents || (plugin->component_count > 0 && plugin->components == nullptr))
      errors.add(fmt::format("{} components{}", plugin->component_count, plugin->components == nullptr ? " at null" : ""));
  }
  const uint64_t count = errors.empty() ? plugin->component_count : 0;
  const uint32_t stride = count > 0 ? plugin->components[0].struct_size : 0;
  if (count > 0 && (stride < sizeof(esp_component) || stride > kMaxStruct || stride % alignof(esp_component) != 0))
    errors.add(fmt::format("component 0: struct size is {}, this host reads {}", stride, sizeof(esp_component)));
  for (uint64_t i = 0; i < count && stride >= sizeof(esp_component); ++i) {
    const auto& component =
        *reinterpret_cast<const esp_component*>(reinterpret_cast<const char*>(plugin->components) + i * stride);
    if (component.struct_size != stride)
      return refuse_all(verdict,
                        fmt::format("component {}: struct size is {}, component 0 has {}", i, component.struct_size, stride));
    else
      examine_component(component, i, verdict, errors);
  }
  if (!errors.empty()) {
    verdict.reason = join(errors.messages(), "; ");
    verdict.components.clear();
    return;
  }
  verdict.plugin = plugin;
  verdict.ok = true;
}

}  // namespace espalier::plugins
