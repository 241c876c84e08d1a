#include "core/ops/registry.h"

#include <array>
#include <unordered_map>

namespace espalier::ops {

std::span<const OpDef* const> all() {
  static const std::array kAll{
#define ESP_OP(name, stem) &name##_def,
#include "core/ops/op_list.def"
#undef ESP_OP
  };
  return kAll;
}

const OpDef* find(std::string_view name) {
  static const std::unordered_map<std::string_view, const OpDef*> kByName = [] {
    std::unordered_map<std::string_view, const OpDef*> map;
    for (const OpDef* def : all()) map.emplace(*def->name, def);
    return map;
  }();
  auto at = kByName.find(name);
  return at == kByName.end() ? nullptr : at->second;
}

OpLookup registry() { return OpLookup(all()); }

}  // namespace espalier::ops
