/* Reads what is not there. */
#include "zoo.h"
static esp_status next(void* self, const esp_prune_view* view, esp_prune_sink sink, int32_t* done) {
  (void)self, (void)view, (void)sink;
  *done = 1;
  volatile uintptr_t nowhere = 16;
  return *(volatile esp_status*)nowhere;
}
ZOO_QUERY("zoo.segfault-in-next", zoo_vtable.next = next)
