/* Calls the host from a thread of its own. */
#include <pthread.h>

#include "zoo.h"
static void* speak(void* nothing) {
  zoo_host->log(zoo_host->ctx, ESP_LOG_DEBUG, zoo_text("from elsewhere"));
  return nothing;
}
static esp_status next(void* self, const esp_prune_view* view, esp_prune_sink sink, int32_t* done) {
  (void)self, (void)view, (void)sink;
  *done = 1;
  pthread_t thread;
  if (pthread_create(&thread, 0, speak, 0) == 0) pthread_join(thread, 0);
  return ESP_OK;
}
ZOO_QUERY("zoo.wrong-thread", zoo_vtable.next = next)
