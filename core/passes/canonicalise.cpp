// Front to back, so that a chain is shortened link by link: the operand that a rule sees is already canonical. Sweeps
// repeat until one changes nothing, because a shortened chain may leave an identity behind.

#include "core/passes/canonicalise.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "core/ir/rewrite.h"
#include "core/ops/cast.h"
#include "core/ops/movement.h"
#include "core/ops/registry.h"

namespace espalier::passes {
namespace {

/// One node seen through the rewriter: operands are values of the new graph.
struct Site {
  Rewriter& rewrite;
  const Node& node;
  const TensorType& type;  // of the result

  Builder& b() const { return rewrite.builder(); }
  Value operand(size_t i) const { return rewrite[node.inputs[i]]; }
  const TensorType& operand_type(size_t i) const { return rewrite.made().type(operand(i)); }
  /// The node that makes operand `i`, if it is a `def`; else nullptr.
  const Node* operand_if(size_t i, const OpDef& def) const {
    const Node& made = rewrite.made().def(operand(i));
    return made.kind == NodeKind::kOp && made.is(def) ? &made : nullptr;
  }
  /// Whether operand `i` is a constant that holds `number` everywhere.
  bool is_constant(size_t i, double number) const {
    const Node& made = rewrite.made().def(operand(i));
    return made.kind == NodeKind::kConstant &&
           std::all_of(made.data->begin(), made.data->end(), [&](double v) { return v == number; });
  }
};

using Rule = std::optional<Value> (*)(const Site&);

std::optional<Value> same_type(const Site& s) {
  if (s.operand_type(0) == s.type) return s.operand(0);
  return std::nullopt;
}

std::optional<Value> chained_reshape(const Site& s) {
  const Node* inner = s.operand_if(0, ops::reshape_def);
  if (inner == nullptr) return std::nullopt;
  return ops::reshape(s.b(), inner->inputs[0], s.type.shape);
}

std::optional<Value> chained_broadcast(const Site& s) {
  const Node* inner = s.operand_if(0, ops::broadcast_def);
  if (inner == nullptr) return std::nullopt;
  return ops::broadcast(s.b(), inner->inputs[0], s.type.shape);
}

std::optional<Value> identity_permute(const Site& s) {
  const std::vector<int64_t>& order = s.node.attrs.ints("order");
  for (size_t i = 0; i < order.size(); ++i)
    if (order[i] != static_cast<int64_t>(i)) return std::nullopt;
  return s.operand(0);
}

std::optional<Value> chained_permute(const Site& s) {
  const Node* inner = s.operand_if(0, ops::permute_def);
  if (inner == nullptr) return std::nullopt;
  std::vector<int64_t> order;
  for (int64_t dim : s.node.attrs.ints("order")) order.push_back(inner->attrs.ints("order")[static_cast<size_t>(dim)]);
  return ops::permute(s.b(), inner->inputs[0], std::move(order));
}

/// Every value of `from` is a value of `to`.
bool is_exact(DType from, DType to) {
  if (from == to) return true;
  if (to == DType::kF64) return from == DType::kF32 || from == DType::kF16 || from == DType::kBF16 || from == DType::kI32;
  return to == DType::kF32 && (from == DType::kF16 || from == DType::kBF16);
}

std::optional<Value> exact_then_cast(const Site& s) {
  const Node* inner = s.operand_if(0, ops::cast_def);
  if (inner == nullptr || !is_exact(s.rewrite.made().type(inner->inputs[0]).dtype, s.operand_type(0).dtype)) return std::nullopt;
  return ops::cast(s.b(), inner->inputs[0], s.type.dtype);
}

int64_t axis_of(const Node& node, const TensorType& type) {
  const int64_t axis = node.attrs.i("axis");
  return axis < 0 ? axis + type.shape.rank() : axis;
}

std::optional<Value> chained_slice(const Site& s) {
  const Node* inner = s.operand_if(0, ops::slice_def);
  const int64_t axis = axis_of(s.node, s.type);
  if (inner == nullptr || axis_of(*inner, s.type) != axis) return std::nullopt;
  const int64_t from = inner->attrs.i("begin");
  return ops::slice(s.b(), inner->inputs[0], axis, from + s.node.attrs.i("begin"), from + s.node.attrs.i("end"));
}

std::optional<Value> lone_concat(const Site& s) {
  if (s.node.inputs.size() == 1) return s.operand(0);
  return std::nullopt;
}

/// x op c → x, where c is the number that leaves x alone and does not widen it.
template <int kNumber, bool kCommutes>
std::optional<Value> neutral(const Site& s) {
  if (s.operand_type(0) == s.type && s.is_constant(1, kNumber)) return s.operand(0);
  if (kCommutes && s.operand_type(1) == s.type && s.is_constant(0, kNumber)) return s.operand(1);
  return std::nullopt;
}

// Gradients are taken before passes run.
std::optional<Value> needless(const Site& s) { return s.operand(0); }

std::optional<Value> double_neg(const Site& s) {
  const Node* inner = s.operand_if(0, ops::neg_def);
  if (inner == nullptr) return std::nullopt;
  return inner->inputs[0];
}

std::optional<Value> same_operands(const Site& s) {
  if (s.operand(0) == s.operand(1)) return s.operand(0);
  return std::nullopt;
}

std::optional<Value> known_gate(const Site& s) {
  const Node& gates = s.rewrite.made().def(s.operand(2));
  if (gates.kind != NodeKind::kConstant) return std::nullopt;
  const double g = (*gates.data)[static_cast<size_t>(s.node.attrs.i("index"))];
  if (g == 0) return s.operand(0);
  if (g == 1) return s.operand(1);
  return std::nullopt;
}

struct Entry {
  const OpDef& op;
  Rule rule;
};

// The first rule that applies wins.
const Entry kRules[] = {
    {ops::reshape_def, same_type},
    {ops::reshape_def, chained_reshape},
    {ops::permute_def, identity_permute},
    {ops::permute_def, chained_permute},
    {ops::cast_def, same_type},
    {ops::cast_def, exact_then_cast},
    {ops::stop_gradient_def, needless},
    {ops::slice_def, same_type},
    {ops::slice_def, chained_slice},
    {ops::broadcast_def, same_type},
    {ops::broadcast_def, chained_broadcast},
    {ops::upsample_nearest_def, same_type},
    {ops::concat_def, lone_concat},
    {ops::add_def, neutral<0, true>},
    {ops::sub_def, neutral<0, false>},
    {ops::mul_def, neutral<1, true>},
    {ops::div_def, neutral<1, false>},
    {ops::maximum_def, same_operands},
    {ops::neg_def, double_neg},
    {ops::gate_def, same_operands},
    {ops::gate_def, known_gate},
};

Graph sweep(const Graph& graph, bool* changed) {
  Rewriter rewrite(graph);
  for (const Node& node : graph.nodes()) {
    std::optional<Value> now;
    if (node.kind == NodeKind::kOp) rewrite.at(node);
    for (const Entry& entry : kRules)
      if (!now && node.kind == NodeKind::kOp && node.is(entry.op)) now = entry.rule({rewrite, node, graph.type(node.results[0])});
    if (now)
      rewrite.replace(node, *now);
    else
      rewrite.keep(node);
  }
  *changed = rewrite.changed();
  return rewrite.finish();
}

}  // namespace

Graph canonicalise(const Graph& graph, const Context&) {
  bool changed = true;
  Graph out = sweep(graph, &changed);
  while (changed) out = sweep(out, &changed);
  return out;
}

}  // namespace espalier::passes
