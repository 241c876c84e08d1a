#pragma once
// What a graph is: nodes in execution order, the values that they make, named inputs and outputs.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/ir/attr.h"
#include "core/ir/op_def.h"
#include "core/ir/shape.h"

namespace espalier {

enum class NodeKind : uint8_t { kInput, kParam, kConstant, kOp };

/// One node. Inputs and parameters carry their name in `label`; constants their values in `data` (shared between the
/// graphs that passes return). `path` is the diffusers block path that the node belongs to.
struct Node {
  NodeKind kind = NodeKind::kOp;
  const OpDef* op = nullptr;  // kOp only
  std::vector<Value> inputs;  // operands; an absent optional one is Value{}
  std::vector<Value> results;
  Attrs attrs;
  std::string label;
  std::string path;
  bool frozen = false;                              // printed !frozen: the teacher's, never trained
  bool recompute = false;                           // printed !recompute
  Value grad_of;                                    // printed !grad=%v: backward node of that value
  std::shared_ptr<const std::vector<double>> data;  // kConstant only
  bool is(const OpDef& def) const { return op == &def; }
};

struct ValueInfo {
  TensorType type;
  std::string name;     // without '%'; letters, digits, '_', '.', '-'; unique in its graph
  uint32_t node = 0;    // index of the defining node
  uint32_t result = 0;  // which of its results
};

struct Output {
  std::string name;  // "sample", or a tap's block path; may be empty when it is the only one
  Value value;
};

/// A straight-line program in SSA form. Owns its nodes in one vector whose order is an execution order: a node's
/// operands are defined before it (the verifier checks that). Copying is deep except for constants' data.
class Graph {
 public:
  std::string name = "main";

  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<ValueInfo>& values() const { return values_; }
  const std::vector<Output>& outputs() const { return outputs_; }
  const ValueInfo& info(Value v) const { return values_[v.id]; }
  const TensorType& type(Value v) const { return values_[v.id].type; }
  const Node& def(Value v) const { return nodes_[values_[v.id].node]; }
  Node& node(size_t i) { return nodes_[i]; }
  const Node& node(size_t i) const { return nodes_[i]; }
  /// Values of the input and parameter nodes, in order.
  std::vector<Value> inputs() const { return of_kind(NodeKind::kInput); }
  std::vector<Value> params() const { return of_kind(NodeKind::kParam); }
  /// Nullopt-like: an absent Value when no input (parameter) has that name.
  Value find_input(std::string_view name) const { return find(NodeKind::kInput, name); }
  Value find_param(std::string_view name) const { return find(NodeKind::kParam, name); }

  /// Appends a node and makes its result values; `names` may be shorter (values are then named v<id>). A name that is
  /// taken gets a suffix `_1`, `_2`, …, and a character that text cannot hold becomes `_`.
  /// The node's operands must exist. Types are taken as given: `Builder` infers them.
  size_t append(Node node, std::vector<TensorType> types, std::vector<std::string> names = {});
  void add_output(std::string name, Value value) { outputs_.push_back({std::move(name), value}); }
  void set_outputs(std::vector<Output> outputs) { outputs_ = std::move(outputs); }
  /// Gives `v` another name, made unique and printable as in `append`.
  void set_value_name(Value v, std::string_view name);

  /// Types and attributes of a kOp node, as op functions want them.
  OpCall call(const Node& node) const;
  /// For every value: how many operands and outputs read it.
  std::vector<uint32_t> use_counts() const;

 private:
  std::vector<Value> of_kind(NodeKind kind) const;
  Value find(NodeKind kind, std::string_view name) const;
  std::string claim_name(std::string_view wanted);
  std::vector<Node> nodes_;
  std::vector<ValueInfo> values_;
  std::vector<Output> outputs_;
  std::unordered_set<std::string> names_;  // of all values
};

}  // namespace espalier
