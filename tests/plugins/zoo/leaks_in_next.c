/* Keeps a kilobyte at each call. */
#include <stdlib.h>

#include "zoo.h"
char* volatile zoo_lost;
static esp_status next(void* self, const esp_prune_view* view, esp_prune_sink sink, int32_t* done) {
  (void)self, (void)view, (void)sink;
  *done = 1;
  char* lost = malloc(1024);
  memset(lost, 1, 1024);
  zoo_lost = lost;
  return ESP_OK;
}
ZOO_QUERY("zoo.leaks-in-next", zoo_vtable.next = next)
