// ESP_PLUGIN: the one exported function and the static tables behind it.
//
//   ESP_PLUGIN("com.acme.prune", "1.2.0", "Acme", "MIT", Ramp, OtherComponent)
//
// A component is a class with `id`, `doc` (static constexpr text), `kind` and `vtable()` (from esp::prune or
// esp::backend), and `params()` where it has parameters. A component may also have `static void init()` and
// `static void deinit()`, called once after load and before exit.
#ifndef ESPALIER_SDK_PLUGIN_HPP
#define ESPALIER_SDK_PLUGIN_HPP

#include <vector>

#include "espalier/plugin.h"
#include "espalier/sdk/common.hpp"
#include "espalier/sdk/params.hpp"

namespace esp {
inline namespace v0 {
namespace detail {

constexpr uint32_t build_flags() {
  uint32_t flags = 0;
#if !defined(NDEBUG) && !defined(__OPTIMIZE__)
  flags |= ESP_BUILD_DEBUG;
#endif
#if defined(__SANITIZE_ADDRESS__)
  flags |= ESP_BUILD_ASAN;
#endif
#if defined(__SANITIZE_THREAD__)
  flags |= ESP_BUILD_TSAN;
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
  flags |= ESP_BUILD_ASAN;
#endif
#if __has_feature(thread_sanitizer)
  flags |= ESP_BUILD_TSAN;
#endif
#endif
  return flags;
}

template <typename C>
esp_component component_of() {
  const spec_table& table = specs_of<C>();
  esp_component c{};
  c.struct_size = sizeof(c);
  c.kind = str(C::kind);
  c.id = str(C::id);
  c.doc = str(C::doc);
  c.params = table.specs.data();
  c.param_count = table.specs.size();
  c.vtable = C::vtable();
  return c;
}

template <typename C>
void init_one() {
  if constexpr (requires { C::init(); }) C::init();
}
template <typename C>
void deinit_one() {
  if constexpr (requires { C::deinit(); }) C::deinit();
}

template <typename... Components>
struct plugin {
  static esp_status init(const esp_host* h) noexcept {
    host_slot() = h;
    return guard([] { (init_one<Components>(), ...); });
  }
  static void deinit() noexcept {
    guard([] { (deinit_one<Components>(), ...); });
    host_slot() = nullptr;
  }
  /// The same table at every call; made at the first, never freed.
  static const esp_plugin* table(std::string_view id, std::string_view version, std::string_view vendor,
                                 std::string_view license) {
    struct tables {
      std::vector<esp_component> components;
      esp_plugin plugin{};
    };
    static const tables* made = [&] {
      auto* t = new tables{{component_of<Components>()...}, {}};
      esp_plugin& p = t->plugin;
      p.magic = ESP_MAGIC;
      p.struct_size = sizeof(p);
      p.abi_major = ESP_ABI_MAJOR;
      p.abi_minor = ESP_ABI_MINOR;
      p.need_minor = ESP_TARGET_MINOR;
      p.need_opset = ESP_OPSET;
      p.build_flags = build_flags();
      p.id = str(id);
      p.version = str(version);
      p.vendor = str(vendor);
      p.license = str(license);
      p.components = t->components.data();
      p.component_count = t->components.size();
      p.init = &plugin::init;
      p.deinit = &plugin::deinit;
      return t;
    }();
    return &made->plugin;
  }
};

/// Text that is put together by the compiler.
template <size_t N>
struct manifest_text {
  char data[N + 1] = {};
};

template <typename... Components, typename Put>
constexpr void write_manifest(std::string_view id, std::string_view version, std::string_view vendor, std::string_view license,
                              Put put) {
  put("espalier-plugin 1\nabi " ESP_MANIFEST_ABI "\nopset 1\n" ESP_MANIFEST_SANITIZER "id ");
  put(id), put("\nversion "), put(version), put("\nvendor "), put(vendor), put("\nlicense "), put(license), put("\n");
  ((put("component "), put(Components::kind), put(" "), put(Components::id), put("\n")), ...);
}

template <typename... Components>
constexpr size_t manifest_size(std::string_view id, std::string_view version, std::string_view vendor, std::string_view license) {
  size_t size = 0;
  write_manifest<Components...>(id, version, vendor, license, [&](std::string_view text) { size += text.size(); });
  return size;
}

template <size_t N, typename... Components>
constexpr manifest_text<N> manifest_of(std::string_view id, std::string_view version, std::string_view vendor,
                                       std::string_view license) {
  manifest_text<N> made;
  size_t at = 0;
  write_manifest<Components...>(id, version, vendor, license, [&](std::string_view text) {
    for (const char c : text) made.data[at++] = c;
  });
  return made;
}

}  // namespace detail
}  // namespace v0
}  // namespace esp

/// The four texts must be string literals: the tables keep views of them.
#define ESP_PLUGIN(plugin_id, plugin_version, plugin_vendor, plugin_license, ...)                                            \
  __attribute__((section(ESP_MANIFEST_SECTION), used)) static constexpr auto esp_manifest_text = ::esp::detail::manifest_of< \
      ::esp::detail::manifest_size<__VA_ARGS__>(plugin_id, plugin_version, plugin_vendor, plugin_license), __VA_ARGS__>(     \
      plugin_id, plugin_version, plugin_vendor, plugin_license);                                                             \
  extern "C" ESP_EXPORT const esp_plugin* esp_plugin_query_v0(uint32_t host_major, uint32_t) {                               \
    if (host_major != ESP_ABI_MAJOR) return nullptr;                                                                         \
    try {                                                                                                                    \
      return ::esp::detail::plugin<__VA_ARGS__>::table(plugin_id, plugin_version, plugin_vendor, plugin_license);            \
    } catch (...) {                                                                                                          \
      return nullptr;                                                                                                        \
    }                                                                                                                        \
  }
#endif
