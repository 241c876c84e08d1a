/* Reads what is not there. */
#define ZOO_ID "zoo.segfault-in-emit"
#define ZOO_FLAGS 0
#include "bad_loss.h"

static esp_status emit(void* self, const esp_loss_view* view, esp_loss_sink sink) {
  const esp_graph_build* build = view->build;
  esp_value difference = 0, squared = 0, term = 0;
  esp_status status;
  (void)self, (void)build, (void)sink, (void)one, (void)difference, (void)squared, (void)term, (void)status;
  volatile uintptr_t nowhere = 16;
  return *(volatile esp_status*)nowhere;
}
