// Composites whose gradient is that of their parts are taken apart where the gradient is: the forward graph keeps them
// whole, so that a backend still runs them as one kernel, and the parts that the backward nodes read are computed again.

#include "core/autodiff/gradient.h"

#include <utility>

#include "core/base/error.h"
#include "core/ops/elementwise_binary.h"

namespace espalier::autodiff {
namespace {

class Reverse {
 public:
  Reverse(Graph& graph, std::span<const Value> wrt) : graph_(graph), builder_(graph), depends_(graph.values().size(), false) {
    for (Value v : wrt) depends_[v.id] = true;
    mark(0, graph.nodes().size());
  }

  void run(Value of) {
    if (!depends(of)) return;
    const size_t last = graph_.info(of).node + 1;
    at(last - 1, [&] { cotangent(of) = builder_.constant(graph_.type(of), {1.0}); });
    sweep(0, last);
  }

  Value result(Value v) { return cotangent(v); }

 private:
  bool depends(Value v) const { return v.present() && v.id < depends_.size() && depends_[v.id]; }

  Value& cotangent(Value v) {
    if (v.id >= cotangents_.size()) cotangents_.resize(v.id + 1);
    return cotangents_[v.id];
  }

  /// Extends `depends_` over nodes [first, last): which values hang on what is asked for.
  void mark(size_t first, size_t last) {
    depends_.resize(graph_.values().size(), false);
    for (size_t i = first; i < last; ++i) {
      const Node& node = graph_.node(i);
      if (node.kind != NodeKind::kOp || node.frozen || std::holds_alternative<StopsGradient>(*node.op->vjp)) continue;
      bool any = false;
      for (Value v : node.inputs) any = any || depends(v);
      for (Value v : node.results)
        if (any && is_floating(graph_.type(v).dtype)) depends_[v.id] = true;
    }
  }

  /// Nodes that `body` appends are backward nodes of node `i`, or of the composite that node `i` is a part of.
  template <typename F>
  void at(size_t i, F&& body) {
    if (inside_composite_) return body();
    const size_t first = graph_.nodes().size();
    const Value forward = graph_.node(i).results.front();
    builder_.set_path(graph_.node(i).path);
    body();
    for (size_t made = first; made < graph_.nodes().size(); ++made) graph_.node(made).grad_of = forward;
  }

  void sweep(size_t first, size_t last) {
    for (size_t i = last; i-- > first;) {
      const Node& node = graph_.node(i);
      if (node.kind != NodeKind::kOp) continue;
      const Value result = node.results.front();
      if (!depends(result) || !cotangent(result).present()) continue;
      at(i, [&] { pull_back(i, cotangent(result)); });
    }
  }

  void pull_back(size_t i, Value d) {
    const Node node = graph_.node(i);  // a copy: rules append nodes
    if (node.results.size() != 1)
      internal_error("[" + std::string(*node.op->name) + "] gradients of several results are not implemented");
    Primal primal{graph_.call(node), node.inputs, node.results.front()};
    primal.inputs.resize(primal.call.inputs.size());  // absent optional operands have a place too
    const Vjp& vjp = *node.op->vjp;
    if (const auto* none = std::get_if<NonDifferentiable>(&vjp)) {
      VerifyError error("[" + std::string(*node.op->name) + "] has no gradient: " + std::string(none->reason));
      if (!node.path.empty()) error.add_context("in " + node.path);
      throw error;
    }
    if (std::holds_alternative<ThroughParts>(vjp)) return through_parts(primal, d);
    const std::vector<Value> cotangents = std::get<VjpFn>(vjp)(builder_, primal, d);
    ESP_CHECK(cotangents.size() == primal.inputs.size());
    for (size_t k = 0; k < cotangents.size(); ++k) accumulate(primal.inputs[k], cotangents[k]);
  }

  void through_parts(const Primal& primal, Value d) {
    const size_t first = graph_.nodes().size();
    const Value whole = std::get<DecomposeFn>(*primal.call.op->decompose)(builder_, primal.call, primal.inputs);
    const size_t last = graph_.nodes().size();
    mark(first, last);
    cotangent(whole) = d;
    const bool nested = std::exchange(inside_composite_, true);
    sweep(first, last);
    inside_composite_ = nested;
  }

  void accumulate(Value v, Value d) {
    if (!depends(v) || !d.present()) return;
    ESP_CHECK(graph_.type(d) == graph_.type(v));
    const Value sum = cotangent(v).present() ? ops::add(builder_, cotangent(v), d) : d;
    cotangent(v) = sum;
  }

  Graph& graph_;
  Builder builder_;
  std::vector<bool> depends_;      // by value
  std::vector<Value> cotangents_;  // by value; absent: none yet
  bool inside_composite_ = false;
};

}  // namespace

std::vector<Value> append_gradient(Graph& graph, Value of, std::span<const Value> wrt) {
  const auto need = [&](bool holds, Value v, const char* what) {
    if (!holds) throw VerifyError("[gradient] %" + graph.info(v).name + " is " + to_string(graph.type(v)) + ", needs " + what);
  };
  need(is_floating(graph.type(of).dtype) && graph.type(of).shape.rank() == 0, of, "to be a floating-point scalar");
  for (Value v : wrt) need(is_floating(graph.type(v).dtype), v, "a floating-point type");
  Reverse reverse(graph, wrt);
  reverse.run(of);
  std::vector<Value> gradients;
  for (Value v : wrt) gradients.push_back(reverse.result(v));
  return gradients;
}

}  // namespace espalier::autodiff
