// Patterns are matched from their last node backwards in the old graph, before anything is copied; the composite is then
// built where the last node stood, and the orphaned nodes go.

#include "core/passes/fuse.h"

#include <optional>

#include "core/ir/rewrite.h"
#include "core/ops/registry.h"

namespace espalier::passes {
namespace {

/// A composite to build: operands are values of the old graph.
struct Match {
  const OpDef* composite = nullptr;
  std::vector<Value> inputs;
  Attrs attrs;
};

class Matcher {
 public:
  Matcher(const Graph& graph, const Context& context) : graph_(graph), context_(context), uses_(graph.use_counts()) {}

  /// The composite that ends in `node`, larger ones first.
  std::optional<Match> find(const Node& node) const {
    if (node.kind != NodeKind::kOp) return std::nullopt;
    for (const auto rule : {&Matcher::linear_geglu, &Matcher::geglu, &Matcher::group_norm_silu, &Matcher::linear_add})
      if (std::optional<Match> match = (this->*rule)(node); match && accepted(node, *match)) return match;
    return std::nullopt;
  }

 private:
  /// The `def` node that makes `v`, if only `reader` reads it and both carry the same tags; else nullptr.
  const Node* inner(const Node& reader, Value v, const OpDef& def, uint32_t readers = 1) const {
    const Node& made = graph_.def(v);
    const bool fits = made.kind == NodeKind::kOp && made.is(def) && uses_[v.id] == readers && made.frozen == reader.frozen &&
                      made.recompute == reader.recompute && made.grad_of.present() == reader.grad_of.present();
    return fits ? &made : nullptr;
  }

  bool accepted(const Node& node, const Match& match) const {
    OpCall call{match.composite, {}, match.attrs, {graph_.type(node.results[0])}};
    for (Value v : match.inputs) call.inputs.push_back(v.present() ? graph_.type(v) : TensorType{});
    call.inputs.resize((*match.composite->inputs).size());
    call.attrs = complete_attrs(*match.composite, match.attrs);
    return context_.accepts(call, params_among(graph_, match.inputs, call.inputs.size()));
  }

  bool cuts_last(const Node& slice, int64_t begin, int64_t end) const {
    const int64_t axis = slice.attrs.i("axis");
    const int rank = graph_.type(slice.inputs[0]).shape.rank();
    return (axis == -1 || axis == rank - 1) && slice.attrs.i("begin") == begin && slice.attrs.i("end") == end;
  }

  /// The x of mul(slice(x, first half), gelu(slice(x, second half))) in either order, or of a geglu node. `readers`: how
  /// many operands of the pattern read x.
  std::optional<Value> gated(const Node& node, uint32_t* readers) const {
    *readers = 1;
    if (node.is(ops::geglu_def)) return node.inputs[0];
    if (!node.is(ops::mul_def)) return std::nullopt;
    *readers = 2;
    for (const size_t side : {0, 1}) {
      const Node* value = inner(node, node.inputs[side], ops::slice_def);
      const Node* activation = inner(node, node.inputs[1 - side], ops::gelu_def);
      const Node* gate = activation == nullptr ? nullptr : inner(node, activation->inputs[0], ops::slice_def);
      if (value == nullptr || gate == nullptr || !(value->inputs[0] == gate->inputs[0])) continue;
      const int64_t width = graph_.type(value->inputs[0]).shape.back();
      if (width % 2 == 0 && cuts_last(*value, 0, width / 2) && cuts_last(*gate, width / 2, width)) return value->inputs[0];
    }
    return std::nullopt;
  }

  std::optional<Match> geglu(const Node& node) const {
    uint32_t readers = 0;
    const std::optional<Value> x = gated(node, &readers);
    if (!x || node.is(ops::geglu_def)) return std::nullopt;
    return Match{&ops::geglu_def, {*x}, {}};
  }

  std::optional<Match> linear_geglu(const Node& node) const {
    uint32_t readers = 0;
    const std::optional<Value> x = gated(node, &readers);
    const Node* linear = x ? inner(node, *x, ops::linear_def, readers) : nullptr;
    if (linear == nullptr) return std::nullopt;
    return Match{&ops::linear_geglu_def, linear->inputs, {}};
  }

  std::optional<Match> group_norm_silu(const Node& node) const {
    const Node* norm = node.is(ops::silu_def) ? inner(node, node.inputs[0], ops::group_norm_def) : nullptr;
    if (norm == nullptr) return std::nullopt;
    return Match{&ops::group_norm_silu_def, norm->inputs, norm->attrs};
  }

  std::optional<Match> linear_add(const Node& node) const {
    if (!node.is(ops::add_def)) return std::nullopt;
    for (const size_t side : {0, 1}) {
      const Value residual = node.inputs[1 - side];
      const Node* linear = inner(node, node.inputs[side], ops::linear_def);
      if (linear == nullptr || !(graph_.type(residual) == graph_.type(node.inputs[side]))) continue;
      std::vector<Value> inputs = linear->inputs;
      inputs.resize(3);
      inputs.push_back(residual);
      return Match{&ops::linear_add_def, std::move(inputs), {}};
    }
    return std::nullopt;
  }

  const Graph& graph_;
  const Context& context_;
  std::vector<uint32_t> uses_;
};

}  // namespace

Graph fuse(const Graph& graph, const Context& context) {
  const Matcher matcher(graph, context);
  Rewriter rewrite(graph);
  for (const Node& node : graph.nodes()) {
    const std::optional<Match> match = matcher.find(node);
    if (!match) {
      rewrite.keep(node);
      continue;
    }
    rewrite.at(node);
    rewrite.replace(node, rewrite.builder().op(*match->composite, rewrite[match->inputs], match->attrs));
  }
  return rewrite.finish();
}

}  // namespace espalier::passes
