// What a C++ author who does not use the SDK may do: an exception leaves `next`.
#include <espalier/prune.h>

#include <stdexcept>
#include <string_view>

namespace {

constexpr esp_str text(std::string_view t) { return {t.data(), t.size()}; }

esp_status create(const esp_param_value*, uint64_t, void** self) {
  static int instance;
  *self = &instance;
  return ESP_OK;
}
void destroy(void*) {}
esp_status next(void*, const esp_prune_view*, esp_prune_sink, int32_t*) { throw std::runtime_error("index 7 is out of range"); }

}  // namespace

extern "C" ESP_EXPORT const esp_plugin* esp_plugin_query_v0(uint32_t, uint32_t) {
  static const esp_prune_vtable vtable{sizeof(esp_prune_vtable), 0, create, destroy, next, nullptr, nullptr};
  static const esp_component component{
      sizeof(esp_component), 0, text("esp.prune/1"), text("zoo.throws"), text("throws"), nullptr, 0, &vtable};
  static const esp_plugin plugin{
      ESP_MAGIC,          sizeof(esp_plugin), ESP_ABI_MAJOR, ESP_ABI_MINOR, 0,          ESP_OPSET, 0,       0,
      text("zoo.throws"), text("1.0.0"),      text("zoo"),   text("MIT"),   &component, 1,         nullptr, nullptr};
  return &plugin;
}
