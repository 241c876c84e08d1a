/* Its `next` names a unit that the model does not have. */
#include "zoo.h"
static esp_status next(void* self, const esp_prune_view* view, esp_prune_sink sink, int32_t* done) {
  (void)self, (void)view, (void)done;
  return sink.remove(sink.ctx, zoo_text("down_blocks.7.resnets.9"), ESP_UNIT_RESNET, zoo_text("a guess"));
}
ZOO_QUERY("zoo.unknown-path", zoo_vtable.next = next)
