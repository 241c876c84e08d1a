// Rules are checked in an order in which each makes the next safe to check: a node with an undefined operand has no
// operand types, so its shape rule is not run.

#include "core/ir/verify.h"

#include <algorithm>
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
      if (sound) op(node);
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

  void outputs() {
    std::set<std::string> names;
    for (const Output& output : graph_.outputs()) {
      if (!output.value.present() || output.value.id >= graph_.values().size())
        faults_.push_back("[return] output \"" + output.name + "\" does not exist");
      if (output.name.empty() && graph_.outputs().size() > 1) faults_.push_back("[return] an output of several has no name");
      if (!names.insert(output.name).second) faults_.push_back("[return] output \"" + output.name + "\" stands there twice");
    }
  }

  const Graph& graph_;
  size_t index_ = 0;
  std::set<std::pair<NodeKind, std::string>> labels_;
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
