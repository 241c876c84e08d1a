#pragma once
// One call of a graph as the C ABI wants it.

#include <espalier/graph.h>

#include <span>
#include <string>
#include <vector>

#include "core/ir/graph.h"

namespace espalier::plugins {

/// Attributes as a plugin gave them. Errors: UserError for an unknown kind.
Attrs attrs_of(std::span<const esp_attr> attrs);

/// Owns the arrays behind an esp_node; the strings and lists are borrowed from `call`'s attributes and `path`, which
/// must outlive it.
class NodeView {
 public:
  NodeView(const OpCall& call, const std::string& path, const std::vector<bool>& is_param);
  NodeView(const NodeView&) = delete;
  NodeView& operator=(const NodeView&) = delete;
  const esp_node& node() const { return node_; }

 private:
  std::vector<esp_tensor_type> inputs_, outputs_;
  std::vector<uint8_t> is_param_;
  std::vector<esp_attr> attrs_;
  esp_node node_{};
};

}  // namespace espalier::plugins
