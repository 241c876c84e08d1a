/* Names a unit by a kind that there is not. */
#include "zoo.h"
static esp_status next(void* self, const esp_prune_view* view, esp_prune_sink sink, int32_t* done) {
  (void)self, (void)view, (void)sink;
  *done = 1;
  return sink.remove(sink.ctx, view->unit_count ? view->units[0].path : zoo_text("none"), 99, zoo_text("why not"));
}
ZOO_QUERY("zoo.out-of-range", zoo_vtable.next = next)
