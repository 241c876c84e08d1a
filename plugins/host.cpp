#include "plugins/host.h"

#include <atomic>

#include "core/base/interrupt.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "plugins/services.h"

namespace espalier::plugins {
namespace {

constexpr size_t kMaxErrorText = 4096;  // bytes of a plugin's message that are kept

std::string& error_sink() {
  thread_local std::string text;
  return text;
}

thread_local int calls_of_thread = 0;
std::atomic<int64_t> calls_from_elsewhere{0};

void set_error(void*, esp_str text) {
  note_host_call();
  fail(view(text));
}

void write_log(void*, int32_t level, esp_str text) {
  note_host_call();
  contained([&] {
    const std::string line = printable(view(text), kMaxErrorText);
    if (level >= ESP_LOG_WARNING)
      log::warning(log::Category::kPlugin, line);
    else if (level == ESP_LOG_INFO)
      log::info(log::Category::kPlugin, line);
    else
      log::debug(log::Category::kPlugin, line);
  });
}

const void* get_interface(void*, esp_str id, uint64_t min_size) {
  note_host_call();
  return host_service(view(id), min_size);
}

}  // namespace

InsideCall::InsideCall() { ++calls_of_thread; }
InsideCall::~InsideCall() { --calls_of_thread; }
void note_host_call() {
  if (calls_of_thread == 0) ++calls_from_elsewhere;
}
int64_t foreign_calls() { return calls_from_elsewhere.exchange(0); }

const esp_host* host_table() {
  static const esp_host table{sizeof(esp_host), ESP_ABI_MINOR, nullptr, set_error, write_log, get_interface};
  return &table;
}

esp_status fail(std::string_view text) noexcept {
  try {
    error_sink().assign(text);
    return ESP_INVALID_ARGUMENT;
  } catch (...) {
    return ESP_OUT_OF_MEMORY;
  }
}

std::string plugin_error() { return printable(error_sink(), kMaxErrorText); }
void clear_plugin_error() { error_sink().clear(); }

std::string status_text(esp_status status) {
  switch (status) {
    case ESP_OK:
      return "ok";
    case ESP_FAILED:
      return "failed";
    case ESP_UNSUPPORTED:
      return "unsupported";
    case ESP_INVALID_ARGUMENT:
      return "invalid argument";
    case ESP_OUT_OF_MEMORY:
      return "out of memory";
    case ESP_CANCELLED:
      return "cancelled";
    default:
      return "status " + std::to_string(status);
  }
}

void throw_status(const std::string& who, const std::string& call, esp_status status) {
  const std::string said = plugin_error();
  const std::string text = "[" + who + "] " + (said.empty() ? call + ": " + status_text(status) : said);
  if (status == ESP_CANCELLED && interrupt_requested()) throw Interrupted(text);
  if (status == ESP_UNSUPPORTED || status == ESP_INVALID_ARGUMENT) throw UserError(text);
  throw Error(text);
}

esp_tensor_type to_esp(const TensorType& type) {
  esp_tensor_type out{};
  out.dtype = static_cast<int32_t>(type.dtype);
  out.rank = type.present() ? type.shape.rank() : 0;
  for (int i = 0; i < out.rank; ++i) out.dims[i] = type.shape[i];
  return out;
}

}  // namespace espalier::plugins
