#include "zoo.h"
static esp_status refuse(const esp_host* host) {
  zoo_host = host;
  zoo_host->set_error(zoo_host->ctx, zoo_text("no licence for this machine"));
  return ESP_FAILED;
}
ZOO_QUERY("zoo.init-fails", plugin->init = refuse)
