// Strings, errors and host services for plugins in C++20. Needs the C headers and the standard library, nothing else.
//
// A plugin's C++ never lets an exception out: every function that the host calls is wrapped in `esp::guard`, which turns
// an exception into a status and hands its text to the host.
#ifndef ESPALIER_SDK_COMMON_HPP
#define ESPALIER_SDK_COMMON_HPP

#include <cstdint>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "espalier/host.h"

namespace esp {
inline namespace v0 {

/// A borrowed view of host text.
inline std::string_view view(esp_str text) {
  return text.size == 0 ? std::string_view{} : std::string_view(text.data, text.size);
}
inline std::string string(esp_str text) { return std::string(view(text)); }
/// The C form of `text`, which must outlive its use; string literals always do.
inline esp_str str(std::string_view text) { return {text.data(), text.size()}; }

/// Throw this from plugin code: the text reaches the user, the status the host. Lower case, no full stop.
class error : public std::runtime_error {
 public:
  explicit error(const std::string& text, esp_status status = ESP_FAILED) : std::runtime_error(text), status_(status) {}
  esp_status status() const { return status_; }

 private:
  esp_status status_;
};

/// The input does not suit this plugin: the user must change something.
struct invalid : error {
  explicit invalid(const std::string& text) : error(text, ESP_INVALID_ARGUMENT) {}
};
/// This plugin does not do that, by design.
struct unsupported : error {
  explicit unsupported(const std::string& text) : error(text, ESP_UNSUPPORTED) {}
};
/// A service of the host failed. The host holds the text, which `guard` leaves as it is.
struct host_failure : error {
  using error::error;
};

namespace detail {
inline const esp_host*& host_slot() {
  static const esp_host* host = nullptr;
  return host;
}
/// Whether `table` is large enough to hold the field that ends at `end` bytes.
template <typename Table>
bool covers(const Table* table, size_t end) {
  return table != nullptr && table->struct_size >= end;
}
}  // namespace detail

/// Whether a table that the other side filled has this field: ESP_HAS(view, seed).
#define ESP_HAS(table, field) \
  (::esp::detail::covers(     \
      (table), static_cast<size_t>(reinterpret_cast<const char*>(&(table)->field + 1) - reinterpret_cast<const char*>(table))))

/// The host, or null before init (then errors keep their status and lose their text).
inline const esp_host* host() { return detail::host_slot(); }

/// Text of the failure that the current call is about to return.
inline void set_error(std::string_view text) noexcept {
  if (const esp_host* h = host(); h != nullptr && h->set_error != nullptr) h->set_error(h->ctx, str(text));
}

/// One line to the host's log; the only way for a plugin to print.
inline void log(int32_t level, std::string_view text) noexcept {
  if (const esp_host* h = host(); h != nullptr && h->log != nullptr) h->log(h->ctx, level, str(text));
}

/// A service that every call has, by id, or null: auto* rng = esp::service<esp_rng>(ESP_RNG_SERVICE).
template <typename Table>
const Table* service(std::string_view id) {
  const esp_host* h = host();
  if (h == nullptr || h->get_interface == nullptr) return nullptr;
  return static_cast<const Table*>(h->get_interface(h->ctx, str(id), sizeof(Table)));
}

/// Services of one call; borrowed from its view.
class services {
 public:
  explicit services(const esp_services* raw) : raw_(raw) {}
  /// By id, or null: in.services().find<esp_artifact>(ESP_ARTIFACT_SERVICE).
  template <typename Table>
  const Table* find(std::string_view id) const {
    if (raw_ == nullptr || raw_->find == nullptr) return nullptr;
    return static_cast<const Table*>(raw_->find(raw_->ctx, str(id), sizeof(Table)));
  }
  /// The same, or `unsupported`: "this host has no ID here: WHY".
  template <typename Table>
  const Table& need(std::string_view id, std::string_view why) const {
    const Table* found = find<Table>(id);
    if (found == nullptr) throw unsupported("needs " + std::string(id) + ", which is not there: " + std::string(why));
    return *found;
  }

 private:
  const esp_services* raw_;
};

/// Runs `f` and turns what it throws into a status with text. `f` returns nothing, or an esp_status of its own.
template <typename F>
esp_status guard(F&& f) noexcept {
  try {
    if constexpr (std::is_same_v<decltype(f()), esp_status>) {
      return f();
    } else {
      f();
      return ESP_OK;
    }
  } catch (const host_failure& e) {
    return e.status();
  } catch (const error& e) {
    set_error(e.what());
    return e.status();
  } catch (const std::bad_alloc&) {
    set_error("out of memory");
    return ESP_OUT_OF_MEMORY;
  } catch (const std::exception& e) {
    set_error(e.what());
    return ESP_FAILED;
  } catch (...) {
    set_error("an exception of unknown type");
    return ESP_FAILED;
  }
}

/// A failed status from the host becomes an exception; the host already holds its text.
inline void check(esp_status status, std::string_view what) {
  if (status != ESP_OK) throw host_failure(std::string(what), status);
}

}  // namespace v0
}  // namespace esp
#endif
