#include "plugins/services.h"

#include <string>

#include "core/base/interrupt.h"
#include "core/base/rng.h"
#include "plugins/host.h"

namespace espalier::plugins {
namespace {

std::string& hidden() {
  static std::string id;
  return id;
}

const esp_rng kRng{sizeof(esp_rng), 0, rng::bits, rng::uniform, rng::normal};
const esp_cancel kCancel{sizeof(esp_cancel), 0, [] { return interrupt_requested() ? int32_t{1} : int32_t{0}; }};

}  // namespace

void hide_service(std::string_view id) { hidden() = id; }

const void* host_service(std::string_view id, uint64_t min_size) {
  if (!hidden().empty() && id == hidden()) return nullptr;
  if (id == ESP_RNG_SERVICE && min_size <= sizeof kRng) return &kRng;
  if (id == ESP_CANCEL_SERVICE && min_size <= sizeof kCancel) return &kCancel;
  return nullptr;
}

Services::Services() { table_ = {sizeof table_, 0, this, find}; }

const void* Services::find(void* ctx, esp_str id, uint64_t min_size) {
  note_host_call();
  const std::string_view wanted = view(id);
  if (!hidden().empty() && wanted == hidden()) return nullptr;
  for (const Entry& entry : static_cast<Services*>(ctx)->entries_)
    if (entry.id == wanted && min_size <= entry.size) return entry.table;
  return host_service(wanted, min_size);
}

}  // namespace espalier::plugins
