/* Removes an attention module and a block inside it. */
#include "zoo.h"
static esp_status next(void* self, const esp_prune_view* view, esp_prune_sink sink, int32_t* done) {
  (void)self, (void)view, (void)sink;
  *done = 1;
  for (uint64_t i = 0; i < view->unit_count; ++i) {
    const esp_unit* unit = &view->units[i];
    const int of_mid = unit->path.size >= 9 && memcmp(unit->path.data, "mid_block", 9) == 0;
    if (!of_mid || !unit->removable || (unit->kind != ESP_UNIT_MID_TAIL && unit->kind != ESP_UNIT_TRANSFORMER_BLOCK)) continue;
    const esp_status status = sink.remove(sink.ctx, unit->path, unit->kind, zoo_text("all of it"));
    if (status != ESP_OK) return status;
  }
  return ESP_OK;
}
ZOO_QUERY("zoo.removes-inside", zoo_vtable.next = next)
