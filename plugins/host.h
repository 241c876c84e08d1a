#pragma once
// The host's side of espalier/host.h: the table that every plugin gets, and calling into a plugin safely.

#include <espalier/host.h>
#include <espalier/plugin.h>

#include <string>
#include <string_view>
#include <type_traits>

#include "core/base/error.h"
#include "core/ir/shape.h"

namespace espalier::plugins {

/// The one table of this process: error sink per thread, log lines under category `plugin`, the host-wide services.
const esp_host* host_table();

/// What the plugin said with set_error on this thread since the last `clear_plugin_error`; printable.
std::string plugin_error();
void clear_plugin_error();

inline std::string_view view(esp_str text) {
  return text.data == nullptr ? std::string_view() : std::string_view(text.data, text.size);
}
inline esp_str to_esp(std::string_view text) { return {text.data(), text.size()}; }

/// "failed", "invalid argument", …; "status 17" for a number that the ABI does not have.
std::string status_text(esp_status status);

/// Throws the error for a status other than ESP_OK: "[who] call: text". UserError for ESP_UNSUPPORTED and
/// ESP_INVALID_ARGUMENT (the plugin refuses what the user gave it), Error otherwise.
[[noreturn]] void throw_status(const std::string& who, const std::string& call, esp_status status);

/// While one lives, this thread is inside a call of a plugin; a host's function that is called on a thread without one was called
/// from a thread of the plugin's own.
class InsideCall {
 public:
  InsideCall();
  ~InsideCall();
  InsideCall(const InsideCall&) = delete;
  InsideCall& operator=(const InsideCall&) = delete;
};
/// What every function that a plugin calls begins with.
void note_host_call();
/// Calls from threads of plugins' own since the last question.
int64_t foreign_calls();

/// Calls into a plugin: clears the error sink first, and turns an exception that escapes (a fault of the plugin) into
/// an Error that names it. `who`: the component id.
template <typename F>
auto guarded(const std::string& who, const char* call, F&& f) -> decltype(f()) {
  clear_plugin_error();
  const InsideCall inside;
  try {
    return f();
  } catch (const std::exception& error) {
    throw Error("[" + who + "] an exception left " + call + ", which the plugin ABI forbids: " + error.what());
  } catch (...) {
    throw Error("[" + who + "] an exception left " + call + ", which the plugin ABI forbids");
  }
}

/// `guarded` for a function that returns a status.
template <typename F>
void checked(const std::string& who, const char* call, F&& f) {
  const esp_status status = guarded(who, call, f);
  if (status != ESP_OK) throw_status(who, call, status);
}

/// ESP_INVALID_ARGUMENT with `text` as this thread's error text.
esp_status fail(std::string_view text) noexcept;

/// The other direction of `guarded`: runs a function of the host that a plugin calls. What it throws becomes a status and
/// the error text; no exception may run through a plugin's frames, which may be C.
template <typename F>
esp_status contained(F&& f) noexcept {
  note_host_call();
  try {
    if constexpr (std::is_void_v<decltype(f())>) {
      f();
      return ESP_OK;
    } else {
      return f();
    }
  } catch (const std::exception& error) {
    return fail(error.what());
  } catch (...) {
    return fail("an exception of unknown type");
  }
}

esp_tensor_type to_esp(const TensorType& type);

}  // namespace espalier::plugins
