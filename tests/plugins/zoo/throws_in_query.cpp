#include <espalier/plugin.h>

#include <stdexcept>

extern "C" ESP_EXPORT const esp_plugin* esp_plugin_query_v0(uint32_t, uint32_t) { throw std::runtime_error("too early"); }
