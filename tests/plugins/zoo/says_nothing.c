/* Fails and does not say why. */
#include "zoo.h"
static esp_status next(void* self, const esp_prune_view* view, esp_prune_sink sink, int32_t* done) {
  (void)self, (void)view, (void)sink;
  *done = 1;
  return ESP_INVALID_ARGUMENT;
}
ZOO_QUERY("zoo.says-nothing", zoo_vtable.next = next)
