/* Believes whatever state it is given. */
#include "zoo.h"
static uint64_t at; /* index of a name */
static const char* names[2] = {"first", "second"};
static esp_status save(void* self, uint8_t* out, uint64_t* size) {
  (void)self;
  if (out) memcpy(out, &at, sizeof at);
  *size = sizeof at;
  return ESP_OK;
}
static esp_status load(void* self, const uint8_t* data, uint64_t size) {
  (void)self;
  memcpy(&at, data, size < sizeof at ? size : sizeof at);
  return ESP_OK;
}
static esp_status next(void* self, const esp_prune_view* view, esp_prune_sink sink, int32_t* done) {
  (void)self, (void)view;
  sink.note(sink.ctx, zoo_text(names[at]));
  *done = 1;
  return ESP_OK;
}
ZOO_QUERY("zoo.bad-state", (zoo_vtable.next = next, zoo_vtable.save = save, zoo_vtable.load = load))
