/* Nothing is wrong with this one: it passes every test. */
#include "zoo.h"
static esp_status next(void* self, const esp_prune_view* view, esp_prune_sink sink, int32_t* done) {
  (void)self;
  *done = 1;
  for (uint64_t i = 0; i < view->unit_count; ++i) {
    const esp_unit* unit = &view->units[i];
    if (unit->kind != ESP_UNIT_TRANSFORMER_BLOCK || !unit->removable || unit->index < 2) continue;
    if (unit->path.size < 9 || memcmp(unit->path.data, "up_blocks", 9) != 0) continue;
    const esp_status status = sink.remove(sink.ctx, unit->path, unit->kind, zoo_text("beyond the second"));
    if (status != ESP_OK) return status;
  }
  return ESP_OK;
}
ESP_MANIFEST("zoo.good-pruner", "1.0.0", "zoo", "MIT", ESP_MANIFEST_COMPONENT("esp.prune/1", "zoo.good-pruner"));
ZOO_QUERY("zoo.good-pruner", (zoo_vtable.next = next, zoo_components[0].param_count = 0))
