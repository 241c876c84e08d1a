/* Prints where the results of the program go. */
#include <stdio.h>

#include "zoo.h"
static esp_status next(void* self, const esp_prune_view* view, esp_prune_sink sink, int32_t* done) {
  (void)self, (void)view, (void)sink;
  *done = 1;
  printf("hello from the zoo\n");
  return ESP_OK;
}
ZOO_QUERY("zoo.prints", zoo_vtable.next = next)
