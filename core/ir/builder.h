#pragma once
// Appends checked nodes to a graph: fills attribute defaults, infers types, keeps the current block path.

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/ir/graph.h"

namespace espalier {

/// Builds one graph front to back. The typed functions of core/ops (`ops::conv2d(b, …)`) all end in `op` or `ops`.
class Builder {
 public:
  explicit Builder(Graph& graph) : graph_(graph) {}
  Graph& graph() { return graph_; }
  const TensorType& type(Value v) const { return graph_.type(v); }
  const Shape& shape(Value v) const { return graph_.type(v).shape; }

  Value input(std::string_view name, TensorType type);
  /// A parameter of the model by its diffusers tensor name. Asking twice for one name gives the same value;
  /// another type the second time is an InternalError.
  Value param(std::string_view name, TensorType type);
  Value constant(TensorType type, std::vector<double> values);
  Value scalar(double value) { return constant(f32({}), {value}); }

  /// Appends an op with one result. Errors: VerifyError with the op's name and the current path when operands or
  /// attributes break its contract (arity, unknown attribute, wrong kind, shapes).
  Value op(const OpDef& def, std::vector<Value> inputs, const Attrs& attrs = {}, std::string_view name = "");
  std::vector<Value> ops(const OpDef& def, std::vector<Value> inputs, const Attrs& attrs = {});
  void output(std::string_view name, Value value) { graph_.add_output(std::string(name), value); }

  /// Block path of the nodes built from now on. Prefer `Scope`.
  const std::string& path() const { return path_; }
  void set_path(std::string path) { path_ = std::move(path); }
  bool frozen = false;  // copied into every node built

 private:
  Value params_find(std::string_view name);
  Graph& graph_;
  std::string path_;
  std::unordered_map<std::string, Value> params_;
  bool params_known_ = false;  // parameters that the graph had before this builder are indexed at first use
};

/// Sets the block path for its lifetime: Scope s(b, "down_blocks.0.resnets.1").
class Scope {
 public:
  Scope(Builder& b, std::string_view path) : builder_(b), before_(b.path()) { b.set_path(std::string(path)); }
  ~Scope() { builder_.set_path(before_); }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Builder& builder_;
  std::string before_;
};

/// Fills `attrs` with the defaults that `def` declares and checks names and kinds. Also used by the parser and the
/// verifier. Errors: VerifyError with did-you-mean.
Attrs complete_attrs(const OpDef& def, const Attrs& attrs);
/// `given` as the kind that `spec` declares; whole numbers also serve as real ones. Errors: VerifyError on another kind.
AttrValue attr_of_kind(const OpDef& def, const AttrSpec& spec, const AttrValue& given);
/// Checks the number and presence of operands against `def`. Errors: VerifyError.
void check_arity(const OpDef& def, std::span<const TensorType> inputs);

}  // namespace espalier
