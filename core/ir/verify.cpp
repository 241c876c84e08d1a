// Rules are checked in an order in which each makes the next safe to check: a node with an undefined operand has no
// operand types, so its shape rule is not run.

#include "core/ir/verify.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/base/error.h"
#include "core/ir/builder.h"
#include "core/ir/print.h"

namespace espalier {
namespace {

constexpr size_t kMaxShown = 10;

class Verifier {
 public:
  explicit Verifier(const Graph& graph) : graph_(graph) {}

  std::vector<std::string> run() {
    for (index_ = 0; index_ < graph_.nodes().size(); ++index_) node(graph_.node(index_));
    outputs();
    return std::move(faults_);
  }

 private:
  static std::string kind_name(const Node& node) {
    switch (node.kind) {
      case NodeKind::kInput:
        return "input";
      case NodeKind::kParam:
        return "param";
      case NodeKind::kConstant:
        return "constant";
      case NodeKind::kOp:
        return node.op == nullptr ? "node" : std::string(*node.op->name);
    }
    return "node";
  }

  void fault(const std::string& what) {
    const Node& node = graph_.node(index_);
    // The shape rules of ops already begin with their name in brackets.
    std::string text = what.substr(0, 1) == "[" ? what : "[" + kind_name(node) + "] " + what;
    if (!node.path.empty()) text += " (" + node.path + ")";
    const size_t begin = index_ < 2 ? 0 : index_ - 2;
    const size_t end = std::min(index_ + 3, graph_.nodes().size());
    for (size_t i = begin; i < end; ++i) text += (i == index_ ? "\n  > " : "\n    ") + print_node(graph_, graph_.node(i));
    faults_.push_back(std::move(text));
  }

  bool defined_before(Value v) const { return v.id < graph_.values().size() && graph_.info(v).node < index_; }

  void node(const Node& node) {
    bool sound = true;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const Value v = node.inputs[i];
      if (!v.present() || defined_before(v)) continue;
      sound = false;
      fault(v.id < graph_.values().size() ? "operand " + std::to_string(i) + " '%" + graph_.info(v).name + "' is defined later"
                                          : "operand " + std::to_string(i) + " does not exist");
    }
    if (node.grad_of.present() && !defined_before(node.grad_of)) fault("!grad names a value that is not defined before");
    for (Value v : node.results) {
      const TensorType& type = graph_.type(v);
      if (!type.present()) fault("result '%" + graph_.info(v).name + "' has no type");
      if (std::any_of(type.shape.dims().begin(), type.shape.dims().end(), [](int64_t d) { return d < 1; }))
        fault("result '%" + graph_.info(v).name + "' has an extent below 1");
    }
    if (node.kind == NodeKind::kOp) {
      if (sound) {
        op(node);
        in_place(node);
      }
      return;
    }
    if (!node.inputs.empty() || node.results.size() != 1) fault("takes no operands and has one result");
    if (node.kind == NodeKind::kConstant) {
      if (!node.data ||
          (node.results.size() == 1 && static_cast<int64_t>(node.data->size()) != graph_.type(node.results[0]).shape.elements()))
        fault("holds another number of values than its type");
    } else if (node.label.empty()) {
      fault("has no name");
    } else if (!labels_.emplace(node.kind, node.label).second) {
      fault("the name \"" + node.label + "\" is taken by an earlier " + kind_name(node));
    }
  }

  void op(const Node& node) {
    if (node.op == nullptr) return fault("has no op");
    try {
      OpCall call = graph_.call(node);
      check_arity(*node.op, call.inputs);
      if (!(complete_attrs(*node.op, node.attrs) == node.attrs)) return fault("attributes are not completed with their defaults");
      const std::vector<TensorType> declared = std::move(call.results);
      call.results.clear();
      const std::vector<TensorType> inferred = (*node.op->infer)(call);
      if (inferred.size() != declared.size())
        return fault("has " + std::to_string(declared.size()) + " results, its contract makes " +
                     std::to_string(inferred.size()));
      for (size_t i = 0; i < declared.size(); ++i)
        if (!(declared[i] == inferred[i]))
          fault("result '%" + graph_.info(node.results[i]).name + "' is " + to_string(declared[i]) + ", its operands make " +
                to_string(inferred[i]));
    } catch (const VerifyError& error) {
      fault(error.what());
    }
  }

  /// The input of the graph that `v` is; absent for any other value. Reshapes are views: they are the same memory.
  Value input_of(Value v) const {
    for (const Node* def = &graph_.def(v); def->kind == NodeKind::kOp; def = &graph_.def(v)) {
      if (def->op == nullptr || *def->op->name != "reshape") return {};
      v = def->inputs[0];
    }
    return graph_.def(v).kind == NodeKind::kInput ? v : Value{};
  }

  // What an in-place op overwrites is not read by any later node, and not twice by itself.
  void in_place(const Node& node) {
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (node.inputs[i].present())
        if (const Value input = input_of(node.inputs[i]); input.present())
          if (const auto gone = overwritten_.find(input.id); gone != overwritten_.end())
            fault("reads '%" + graph_.info(node.inputs[i]).name + "', which " + gone->second + " has overwritten in place");
    if (node.op == nullptr) return;
    for (const Alias& alias : node.op->aliases) {
      if (alias.operand >= node.inputs.size() || !node.inputs[alias.operand].present()) continue;
      const Value state = node.inputs[alias.operand];
      const Value input = input_of(state);
      if (!input.present()) {
        fault("overwrites '%" + graph_.info(state).name + "' in place, which is not an input of the graph");
        continue;
      }
      for (size_t i = 0; i < node.inputs.size(); ++i)
        if (i != alias.operand && node.inputs[i].present() && input_of(node.inputs[i]) == input)
          fault("reads '%" + graph_.info(input).name + "' a second time, which it overwrites in place");
      overwritten_.emplace(input.id, kind_name(node));
    }
  }

  void outputs() {
    std::set<std::string> names;
    for (const Output& output : graph_.outputs()) {
      if (output.value.present() && output.value.id < graph_.values().size())
        if (const Value input = input_of(output.value); input.present())
          if (const auto gone = overwritten_.find(input.id); gone != overwritten_.end())
            faults_.push_back("[return] output \"" + output.name + "\" is '%" + graph_.info(input).name + "', which " +
                              gone->second + " has overwritten in place");
      if (!output.value.present() || output.value.id >= graph_.values().size())
        faults_.push_back("[return] output \"" + output.name + "\" does not exist");
      if (output.name.empty() && graph_.outputs().size() > 1) faults_.push_back("[return] an output of several has no name");
      if (!names.insert(output.name).second) faults_.push_back("[return] output \"" + output.name + "\" stands there twice");
    }
  }

  const Graph& graph_;
  size_t index_ = 0;
  std::set<std::pair<NodeKind, std::string>> labels_;
  std::map<uint32_t, std::string> overwritten_;  // inputs by value id, with the op that overwrote them
  std::vector<std::string> faults_;
};

}  // namespace

std::vector<std::string> faults(const Graph& graph) { return Verifier(graph).run(); }

void verify(const Graph& graph) {
  const std::vector<std::string> all = faults(graph);
  if (all.empty()) return;
  std::string text;
  for (size_t i = 0; i < std::min(all.size(), kMaxShown); ++i) text += (i > 0 ? "\n" : "") + all[i];
  if (all.size() > kMaxShown) text += "\n… and " + std::to_string(all.size() - kMaxShown) + " more";
  VerifyError error(text);
  error.add_context("in graph @" + graph.name);
  throw error;
}

}  // namespace espalier
