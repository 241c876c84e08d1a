// Parameters declared once: a pointer to the member is the binding, the member's initialiser the default.
//
//   struct Ramp : esp::prune<Ramp> {
//     int64_t keep = 4;
//     std::string origin = "first-k";
//     static auto params() {
//       return std::tuple{esp::param{&Ramp::keep, "keep", 1, 64, "blocks that stay in each attention module"},
//                         esp::choice{&Ramp::origin, "origin", {"first-k", "evenly-spaced"}, "which of them stay"}};
//     }
//   };
#ifndef ESPALIER_SDK_PARAMS_HPP
#define ESPALIER_SDK_PARAMS_HPP

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "espalier/plugin.h"
#include "espalier/sdk/common.hpp"

namespace esp {
inline namespace v0 {

/// A list of globs over block paths; the host resolves and checks them.
using globs = std::vector<std::string>;

/// Pairs of features that the host makes: "block", "sub-block", "layer", "self-attention", or those that the user listed. The
/// values themselves come with the loss's view.
struct feature_pairs {
  std::string granularity = "sub-block";  // empty: listed
  std::vector<std::string> listed;        // teacher0, student0, teacher1, …
};

/// One parameter of component C: bool, int64_t and double (inclusive bounds), std::string, esp::globs,
/// esp::feature_pairs.
template <typename C, typename T>
struct param {
  static_assert(std::is_same_v<T, bool> || std::is_same_v<T, int64_t> || std::is_same_v<T, double> ||
                    std::is_same_v<T, std::string> || std::is_same_v<T, globs> || std::is_same_v<T, feature_pairs>,
                "a parameter is bool, int64_t, double, std::string, esp::globs or esp::feature_pairs");
  using bound = std::conditional_t<std::is_same_v<T, double>, double, int64_t>;
  T C::*member;
  std::string_view name;
  bound minimum = 0, maximum = 0;  // numbers only
  std::string_view doc;
  uint32_t flags = 0;

  constexpr param(T C::*m, std::string_view n, std::string_view d) : member(m), name(n), doc(d) {
    static_assert(!std::is_same_v<T, int64_t> && !std::is_same_v<T, double>, "a number needs its least and greatest value");
  }
  template <typename A, typename B>
  requires std::is_arithmetic_v<A> && std::is_arithmetic_v<B>
  constexpr param(T C::*m, std::string_view n, A low, B high, std::string_view d)
      : member(m), name(n), minimum(static_cast<bound>(low)), maximum(static_cast<bound>(high)), doc(d) {}
  /// The same, but the user must give it.
  constexpr param required() const {
    param p = *this;
    p.flags |= ESP_PARAM_REQUIRED;
    return p;
  }
};

/// A string that is one of a few.
template <typename C>
struct choice {
  std::string C::*member;
  std::string_view name;
  std::vector<std::string_view> choices;
  std::string_view doc;
  uint32_t flags = 0;
  choice(std::string C::*m, std::string_view n, std::vector<std::string_view> c, std::string_view d)
      : member(m), name(n), choices(std::move(c)), doc(d) {}
};

namespace detail {

/// Storage behind the C tables of one component: alive for ever, because the ABI says so.
struct spec_table {
  std::vector<esp_param_spec> specs;
  std::deque<std::string> texts;
  std::deque<std::vector<esp_str>> choices;
  esp_str keep(std::string_view text) { return str(texts.emplace_back(text)); }
};

// B is C, or a base of it that declares parameters for its heirs.
template <typename C, typename B, typename T>
void declare(spec_table& table, const C& prototype, const param<B, T>& p) {
  esp_param_spec s{};
  s.struct_size = sizeof(s);
  s.flags = p.flags;
  s.name = table.keep(p.name);
  s.doc = table.keep(p.doc);
  const T& fallback = prototype.*p.member;
  if constexpr (std::is_same_v<T, bool>) {
    s.kind = ESP_PARAM_BOOL;
    s.default_int = fallback ? 1 : 0;
    s.max_int = 1;
  } else if constexpr (std::is_same_v<T, int64_t>) {
    s.kind = ESP_PARAM_INT;
    s.default_int = fallback;
    s.min_int = p.minimum;
    s.max_int = p.maximum;
  } else if constexpr (std::is_same_v<T, double>) {
    s.kind = ESP_PARAM_FLOAT;
    s.default_float = fallback;
    s.min_float = p.minimum;
    s.max_float = p.maximum;
  } else if constexpr (std::is_same_v<T, std::string>) {
    s.kind = ESP_PARAM_STRING;
    s.default_string = table.keep(fallback);
  } else if constexpr (std::is_same_v<T, feature_pairs>) {
    s.kind = ESP_PARAM_PAIRS;
    s.default_string = table.keep(fallback.granularity);
  } else {
    s.kind = ESP_PARAM_GLOBS;
    if (!fallback.empty()) s.default_string = table.keep(fallback.front());
  }
  table.specs.push_back(s);
}

template <typename C, typename B>
void declare(spec_table& table, const C& prototype, const choice<B>& p) {
  esp_param_spec s{};
  s.struct_size = sizeof(s);
  s.kind = ESP_PARAM_CHOICE;
  s.flags = p.flags;
  s.name = table.keep(p.name);
  s.doc = table.keep(p.doc);
  s.default_string = table.keep(prototype.*p.member);
  auto& choices = table.choices.emplace_back();
  for (std::string_view c : p.choices) choices.push_back(table.keep(c));
  s.choices = choices.data();
  s.choice_count = choices.size();
  table.specs.push_back(s);
}

template <typename C, typename B, typename T>
void assign(C& self, const param<B, T>& p, const esp_param_value& value) {
  if constexpr (std::is_same_v<T, bool>)
    self.*p.member = value.int_value != 0;
  else if constexpr (std::is_same_v<T, int64_t>)
    self.*p.member = value.int_value;
  else if constexpr (std::is_same_v<T, double>)
    self.*p.member = value.float_value;
  else if constexpr (std::is_same_v<T, std::string>)
    self.*p.member = string(value.string_value);
  else if constexpr (std::is_same_v<T, feature_pairs>) {
    (self.*p.member).granularity = string(value.string_value);
    (self.*p.member).listed.clear();
    for (uint64_t i = 0; i < value.string_count; ++i) (self.*p.member).listed.push_back(string(value.strings[i]));
  } else {
    (self.*p.member).clear();
    for (uint64_t i = 0; i < value.string_count; ++i) (self.*p.member).push_back(string(value.strings[i]));
  }
}

template <typename C, typename B>
void assign(C& self, const choice<B>& p, const esp_param_value& value) {
  self.*p.member = string(value.string_value);
}

template <typename C>
concept has_params = requires {
  C::params();
};

/// The declared parameters of C as the ABI wants them; the same table at every call.
template <typename C>
const spec_table& specs_of() {
  static const spec_table* table = [] {
    auto* made = new spec_table;
    if constexpr (has_params<C>) {
      const C prototype{};
      std::apply([&](const auto&... p) { (declare(*made, prototype, p), ...); }, C::params());
    }
    return made;
  }();
  return *table;
}

/// Stores resolved values into the members that they are bound to. Throws when the host gave another number of them.
template <typename C>
void assign_all(C& self, const esp_param_value* values, uint64_t count) {
  if (count != specs_of<C>().specs.size()) throw error("the host gave another number of parameters than were declared");
  if constexpr (has_params<C>) {
    uint64_t i = 0;
    std::apply([&](const auto&... p) { (assign(self, p, values[i++]), ...); }, C::params());
  }
}

/// `create` and `destroy` of a component whose instances are objects of Self.
template <typename Self>
struct instance {
  static esp_status create(const esp_param_value* values, uint64_t count, void** self) noexcept {
    return guard([&] {
      auto made = std::make_unique<Self>();
      assign_all(*made, values, count);
      *self = made.release();
    });
  }
  static void destroy(void* self) noexcept { delete static_cast<Self*>(self); }
};

}  // namespace detail
}  // namespace v0
}  // namespace esp
#endif
