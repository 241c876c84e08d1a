#include "core/passes/mixed_precision.h"

#include <algorithm>
#include <vector>

#include "core/base/error.h"
#include "core/ir/rewrite.h"
#include "core/ops/cast.h"
#include "core/ops/registry.h"

namespace espalier::passes {
namespace {

constexpr const OpDef* kWide[] = {&ops::timestep_embedding_def, &ops::cast_def, &ops::reduce_sum_def, &ops::reduce_mean_def,
                                  &ops::squared_norm_def};

class Narrower {
 public:
  Narrower(const Graph& graph, DType compute)
      : graph_(graph), compute_(compute), rewrite_(graph), narrow_(graph.values().size()), wide_(graph.values().size()) {}

  Graph run() {
    std::vector<bool> read_wide(graph_.values().size(), false);
    for (const Node& node : graph_.nodes())
      if (node.kind == NodeKind::kOp && !computes(node))
        for (Value v : node.inputs)
          if (v.present()) read_wide[v.id] = true;
    for (const Output& output : graph_.outputs()) read_wide[output.value.id] = true;
    for (const Node& node : graph_.nodes()) {
      rewrite_.at(node);
      if (node.kind == NodeKind::kParam && graph_.type(node.results[0]).dtype == DType::kF32 && !read_wide[node.results[0].id])
        rewrite_.replace(node, rewrite_.builder().param(node.label, {compute_, graph_.type(node.results[0]).shape}));
      else if (computes(node))
        compute(node);
      else
        keep(node);
    }
    return with_outputs();
  }

 private:
  /// Whether it becomes narrow.
  bool computes(const Node& node) const {
    if (node.kind != NodeKind::kOp || node.results.size() != 1 || !node.op->aliases.empty()) return false;
    if (std::any_of(std::begin(kWide), std::end(kWide), [&](const OpDef* def) { return node.is(*def); })) return false;
    return graph_.type(node.results[0]).dtype == DType::kF32;
  }

  void compute(const Node& node) {
    std::vector<Value> inputs;
    for (Value v : node.inputs)
      inputs.push_back(v.present() && graph_.type(v).dtype == DType::kF32 ? as(narrow_, v, compute_) : rewrite_[v]);
    rewrite_.replace(node, rewrite_.builder().op(*node.op, std::move(inputs), node.attrs));
  }

  /// As it was, on operands of their old types.
  void keep(const Node& node) {
    bool narrowed = false;
    std::vector<Value> inputs;
    for (Value v : node.inputs) {
      inputs.push_back(v.present() ? as(wide_, v, graph_.type(v).dtype) : v);
      narrowed = narrowed || !(inputs.back() == rewrite_[v]);
    }
    if (!narrowed) return rewrite_.keep(node);
    ESP_CHECK(node.results.size() == 1);
    rewrite_.replace(node, rewrite_.builder().op(*node.op, std::move(inputs), node.attrs));
  }

  /// The new value of `old` as `dtype`; one cast for all that read it so.
  Value as(std::vector<Value>& made, Value old, DType dtype) {
    const Value now = rewrite_[old];
    if (rewrite_.made().type(now).dtype == dtype) return now;
    Value& cast = made[old.id];
    if (!cast.present()) cast = ops::cast(rewrite_.builder(), now, dtype);
    return cast;
  }

  Graph with_outputs() {
    Graph made = rewrite_.finish();
    Builder b(made);
    std::vector<Value> casts(made.values().size());
    std::vector<Output> outputs = made.outputs();
    for (size_t i = 0; i < outputs.size(); ++i) {
      const Value now = outputs[i].value;
      const DType wanted = graph_.type(graph_.outputs()[i].value).dtype;
      if (made.type(now).dtype == wanted) continue;
      const Node& def = made.def(now);
      const Scope scope(b, def.path);
      b.frozen = def.frozen;
      if (!casts[now.id].present()) casts[now.id] = ops::cast(b, now, wanted);
      outputs[i].value = casts[now.id];
    }
    made.set_outputs(std::move(outputs));
    return made;
  }

  const Graph& graph_;
  DType compute_;
  Rewriter rewrite_;
  std::vector<Value> narrow_, wide_;  // casts that were made, by old value
};

}  // namespace

Graph mixed_precision(const Graph& graph, const Context& context) {
  if (!context.compute || *context.compute == DType::kF32) return graph;
  return Narrower(graph, *context.compute).run();
}

}  // namespace espalier::passes
