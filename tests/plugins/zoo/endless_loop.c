/* Never comes back. */
#include "zoo.h"
static esp_status next(void* self, const esp_prune_view* view, esp_prune_sink sink, int32_t* done) {
  (void)self, (void)view, (void)sink;
  *done = 1;
  for (volatile int i = 1; i != 0; i = 1) {
  }
  return ESP_OK;
}
ZOO_QUERY("zoo.endless-loop", zoo_vtable.next = next)
