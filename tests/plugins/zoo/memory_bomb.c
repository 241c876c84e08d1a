/* Eats memory until there is none. */
#include <stdlib.h>

#include "zoo.h"
static esp_status next(void* self, const esp_prune_view* view, esp_prune_sink sink, int32_t* done) {
  (void)self, (void)view, (void)sink;
  *done = 1;
  for (int i = 0; i < 64; ++i) { /* up to 4 GiB, for a machine that sets no limit */
    char* more = malloc(64 << 20);
    if (more == 0) abort();
    memset(more, 1, 64 << 20);
  }
  abort();
}
ZOO_QUERY("zoo.memory-bomb", zoo_vtable.next = next)
