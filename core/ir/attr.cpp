#include "core/ir/attr.h"

#include <algorithm>

#include "core/base/error.h"

namespace espalier {
namespace {
template <typename T>
const T& get(const Attrs& attrs, std::string_view name) {
  const AttrValue* value = attrs.find(name);
  if (value == nullptr) internal_error("attribute '" + std::string(name) + "' is absent");
  const T* typed = std::get_if<T>(value);
  if (typed == nullptr) internal_error("attribute '" + std::string(name) + "' has another kind");
  return *typed;
}
}  // namespace

void Attrs::set(std::string_view name, AttrValue value) {
  auto at = std::lower_bound(entries_.begin(), entries_.end(), name,
                             [](const auto& entry, std::string_view key) { return entry.first < key; });
  if (at != entries_.end() && at->first == name)
    at->second = std::move(value);
  else
    entries_.emplace(at, std::string(name), std::move(value));
}

const AttrValue* Attrs::find(std::string_view name) const {
  for (const auto& [key, value] : entries_)
    if (key == name) return &value;
  return nullptr;
}

int64_t Attrs::i(std::string_view name) const { return get<int64_t>(*this, name); }
double Attrs::f(std::string_view name) const { return get<double>(*this, name); }
bool Attrs::b(std::string_view name) const { return get<bool>(*this, name); }
const std::string& Attrs::s(std::string_view name) const { return get<std::string>(*this, name); }
const std::vector<int64_t>& Attrs::ints(std::string_view name) const { return get<std::vector<int64_t>>(*this, name); }
const std::vector<double>& Attrs::floats(std::string_view name) const { return get<std::vector<double>>(*this, name); }

}  // namespace espalier
