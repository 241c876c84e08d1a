/* Is not a number where student and target are equal: 0 / 0. */
#define ZOO_ID "zoo.nan-loss"
#define ZOO_FLAGS 0
#include "bad_loss.h"

static esp_status emit(void* self, const esp_loss_view* view, esp_loss_sink sink) {
  const esp_graph_build* build = view->build;
  esp_value difference = 0, squared = 0, term = 0;
  esp_status status;
  (void)self, (void)difference, (void)squared, (void)term, (void)status;
  if ((status = one(build, "sub", view->output, view->target, &difference)) != ESP_OK) return status;
  if ((status = one(build, "square", difference, 0, &squared)) != ESP_OK) return status;
  if ((status = one(build, "reduce_mean", squared, 0, &term)) != ESP_OK) return status;
  if ((status = one(build, "div", term, term, &term)) != ESP_OK) return status;
  return sink.term(sink.ctx, text(""), term);
}
