/* Removes one unit twice. */
#include "zoo.h"
static esp_status next(void* self, const esp_prune_view* view, esp_prune_sink sink, int32_t* done) {
  (void)self, (void)view, (void)sink;
  *done = 1;
  for (uint64_t i = 0; i < view->unit_count; ++i)
    if (view->units[i].removable)
      for (;;) {
        const esp_status status = sink.remove(sink.ctx, view->units[i].path, view->units[i].kind, zoo_text("again"));
        if (status != ESP_OK) return status;
      }
  return ESP_OK;
}
ZOO_QUERY("zoo.removes-twice", zoo_vtable.next = next)
