// What a plugin's table must be before anything in it is called.

#include <espalier/backend.h>
#include <espalier/loss.h>
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
  if (plugin.abi_major != ESP_ABI_MAJOR || plugin.abi_minor != ESP_ABI_MINOR)
    return fmt::format(
        "built for plugin ABI {}.{}, this host has {}.{}; while the ABI is 0.x both must agree: rebuild the plugin",
        plugin.abi_major, plugin.abi_minor, int{ESP_ABI_MAJOR}, int{ESP_ABI_MINOR});
  if (plugin.struct_size != sizeof(esp_plugin))
    return fmt::format("esp_plugin has {} bytes, this host has {}; rebuild the plugin", plugin.struct_size, sizeof(esp_plugin));
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
  const size_t want = kind == "esp.prune/1"  ? sizeof(esp_prune_vtable)
                      : kind == "esp.loss/1" ? sizeof(esp_loss_vtable)
                                             : sizeof(esp_backend_vtable);
  if (size != want) return fmt::format("vtable has {} bytes, this host has {}", size, want);
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
  component.known_kind = component.kind == "esp.prune/1" || component.kind == "esp.loss/1" || component.kind == "esp.backend/1";
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

void examine_plugin(const esp_plugin* plugin, Verdict& verdict) {
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
  for (uint64_t i = 0; i < count; ++i) {
    const esp_component& component = plugin->components[i];
    if (component.struct_size != sizeof(esp_component)) {
      errors.add(
          fmt::format("component {}: struct size is {}, this host has {}", i, component.struct_size, sizeof(esp_component)));
      break;  // the next one does not stand where the array says
    }
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
