/* Chooses by how often it was asked, and not by the model. */
#include "zoo.h"
static esp_status next(void* self, const esp_prune_view* view, esp_prune_sink sink, int32_t* done) {
  (void)self, (void)view, (void)sink;
  *done = 1;
  static uint64_t asked;
  uint64_t at = 0;
  ++asked;
  for (uint64_t i = 0; i < view->unit_count; ++i) {
    const esp_unit* unit = &view->units[i];
    if (unit->kind != ESP_UNIT_TRANSFORMER_BLOCK || !unit->removable || memcmp(unit->path.data, "up_blocks", 9) != 0) continue;
    if (at++ == asked % 5) return sink.remove(sink.ctx, unit->path, unit->kind, zoo_text("its turn"));
  }
  return ESP_OK;
}
ZOO_QUERY("zoo.not-the-same", zoo_vtable.next = next)
