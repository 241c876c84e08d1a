#pragma once
// Makes a new graph from an old one, node by node: what every pass is written with.
//
//   Rewriter rewrite(graph);
//   for (const Node& node : graph.nodes())
//     if (node.is(ops::neg_def) && …) rewrite.replace(node, rewrite[x]);
//     else rewrite.keep(node);
//   return rewrite.finish();

#include <cstdint>
#include <vector>

#include "core/ir/builder.h"
#include "core/ir/graph.h"

namespace espalier {

/// Copies front to back. Names, block paths and tags of kept nodes survive. `from` must outlive the rewriter.
class Rewriter {
 public:
  explicit Rewriter(const Graph& from);

  /// Builds into the new graph. Its path and frozen flag are those of the node last given to `at`.
  Builder& builder() { return builder_; }
  const Graph& made() const { return made_; }
  /// The new value of an old one; absent for an absent operand. InternalError for a node not yet kept or replaced.
  Value operator[](Value old) const;
  std::vector<Value> operator[](const std::vector<Value>& old) const;
  /// The node of the new graph that defines the new value of `old`.
  const Node& def(Value old) const { return made_.def((*this)[old]); }

  /// Nodes built from here on take their block path, frozen and other tags from `node`.
  void at(const Node& node);
  /// Appends `node` with its operands mapped.
  void keep(const Node& node);
  /// Users of the old node's single result read `now`. A value that was built for it takes over its name.
  void replace(const Node& node, Value now);
  /// True when anything was replaced.
  bool changed() const { return changed_; }

  /// The new graph, with the outputs mapped and without the nodes that the rewrite orphaned. A node that nothing read
  /// before stays: removing it is the work of dce. A backward node of a value that is gone becomes one of the value that it
  /// went into.
  Graph finish();

 private:
  void tag_new_nodes();
  void retag_orphans(const std::vector<bool>& keep);
  const Graph& from_;
  Graph made_;
  Builder builder_;
  std::vector<Value> map_;         // by old value id
  const Node* current_ = nullptr;  // the node given to `at`
  size_t tagged_ = 0;              // nodes of made_ below this have their tags
  std::vector<bool> was_dead_;     // by old node: no output depended on it
  std::vector<size_t> kept_dead_;  // nodes of made_ that are copies of dead ones
  bool changed_ = false;
};

/// `graph` without the nodes for which `keep` is false, by node index. InternalError when a kept node reads a dropped one.
Graph filtered(const Graph& graph, const std::vector<bool>& keep);
/// The nodes of `graph` in another `order`, by node index; those that it does not name are left out. InternalError when one reads
/// what no node before it makes.
Graph reordered(const Graph& graph, const std::vector<uint32_t>& order);

}  // namespace espalier
