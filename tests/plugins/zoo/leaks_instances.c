/* Keeps what `create` made. */
#include <stdlib.h>

#include "zoo.h"
static esp_status create(const esp_param_value* values, uint64_t value_count, void** self) {
  (void)values, (void)value_count;
  *self = malloc(256);
  return *self ? ESP_OK : ESP_OUT_OF_MEMORY;
}
ZOO_QUERY("zoo.leaks-instances", zoo_vtable.create = create)
