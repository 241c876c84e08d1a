/* Goes round in a circle: removes nothing, and has never done. */
#include "zoo.h"
static esp_status next(void* self, const esp_prune_view* view, esp_prune_sink sink, int32_t* done) {
  (void)self, (void)view, (void)sink;
  *done = 1;
  *done = 0;
  return ESP_OK;
}
ZOO_QUERY("zoo.never-done", zoo_vtable.next = next)
