#pragma once
// Attribute values of a node: a small sorted map from name to value. Defaults are filled in when a node is built,
// left out when it is printed.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace espalier {

using AttrValue = std::variant<int64_t, double, bool, std::string, std::vector<int64_t>, std::vector<double>>;

enum class AttrKind : int32_t { kInt = 1, kFloat = 2, kBool = 3, kString = 4, kInts = 5, kFloats = 6 };
inline AttrKind kind_of(const AttrValue& value) { return static_cast<AttrKind>(value.index() + 1); }

/// One declared attribute of an op: name, default (which also fixes the kind), doc. `required`: no default is filled in.
struct AttrSpec {
  std::string name;
  AttrValue fallback;
  std::string doc;
  bool required = false;
};

/// Sorted by name, so that equality, hashing and printing are canonical.
class Attrs {
 public:
  Attrs() = default;
  Attrs(std::initializer_list<std::pair<std::string, AttrValue>> entries) {
    for (const auto& [name, value] : entries) set(name, value);
  }
  void set(std::string_view name, AttrValue value);
  const AttrValue* find(std::string_view name) const;
  // Typed reads; an absent name or another kind is an InternalError (builders and the parser have filled defaults in).
  int64_t i(std::string_view name) const;
  double f(std::string_view name) const;
  bool b(std::string_view name) const;
  const std::string& s(std::string_view name) const;
  const std::vector<int64_t>& ints(std::string_view name) const;
  const std::vector<double>& floats(std::string_view name) const;
  const std::vector<std::pair<std::string, AttrValue>>& entries() const { return entries_; }
  bool operator==(const Attrs&) const = default;

 private:
  std::vector<std::pair<std::string, AttrValue>> entries_;
};

}  // namespace espalier
