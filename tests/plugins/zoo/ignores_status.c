/* Goes on where the host refused an op. */
#define ZOO_ID "zoo.ignores-status"
#define ZOO_FLAGS 0
#include "bad_loss.h"

static esp_status emit(void* self, const esp_loss_view* view, esp_loss_sink sink) {
  const esp_graph_build* build = view->build;
  esp_value difference = 0, squared = 0, term = 0;
  esp_status status;
  (void)self, (void)difference, (void)squared, (void)term, (void)status;
  one(build, "sub", view->output, view->target, &difference);
  one(build, "square", difference, 0, &squared);
  one(build, "reduce_mean", squared, 0, &term);
  sink.term(sink.ctx, text(""), term);
  return ESP_OK;
}
