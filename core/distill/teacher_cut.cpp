#include "core/distill/teacher_cut.h"

#include <map>

#include "core/ir/rewrite.h"
#include "core/ir/walk.h"

namespace espalier::distill {
namespace {

/// Values of frozen nodes that others read, in the order of the nodes. `needed` is by node.
std::vector<Value> frontier_of(const Graph& graph, const std::vector<bool>& needed) {
  std::vector<bool> read(graph.values().size(), false);
  for (size_t i = 0; i < needed.size(); ++i) {
    if (!needed[i] || graph.node(i).frozen) continue;
    for (Value v : graph.node(i).inputs)
      if (v.present() && graph.def(v).frozen) read[v.id] = true;
  }
  std::vector<Value> frontier;
  for (const Node& node : graph.nodes())
    for (Value v : node.results)
      if (read[v.id]) frontier.push_back(v);
  return frontier;
}

std::vector<std::string> names_of(const Graph& graph, const std::vector<Value>& frontier) {
  std::vector<std::string> names;
  std::map<std::string, int> seen;
  for (Value v : frontier) {
    const std::string& path = graph.def(v).path;
    const int count = ++seen[path];
    names.push_back(count == 1 ? path : path + "." + std::to_string(count));
  }
  return names;
}

/// What the frontier depends on.
Graph teacher_of(const Graph& graph, const std::vector<Value>& frontier, const std::vector<std::string>& names) {
  Graph whole = graph;
  std::vector<Output> outputs;
  for (size_t i = 0; i < frontier.size(); ++i) outputs.push_back({names[i], frontier[i]});
  whole.name = "teacher";
  whole.set_outputs(std::move(outputs));
  std::vector<bool> keep = needed_nodes(whole);
  const std::vector<std::vector<uint32_t>> readers = users(whole);
  for (size_t i = 0; i < keep.size(); ++i) {
    if (whole.node(i).kind != NodeKind::kInput) continue;
    keep[i] = false;  // one that only the student reads is no input of the teacher
    for (const uint32_t reader : readers[whole.node(i).results.front().id]) keep[i] = keep[i] || keep[reader];
  }
  return filtered(whole, keep);
}

JointGraph student_of(const JointGraph& joint, const std::vector<bool>& needed, const std::vector<Value>& frontier,
                      const std::vector<std::string>& names) {
  JointGraph student;
  student.terms = joint.terms;
  student.logged = joint.logged;
  student.params = joint.params;
  Graph& graph = student.graph;
  graph.name = joint.graph.name;
  Builder b(graph);
  std::vector<Value> map(joint.graph.values().size());
  const auto mapped = [&](Value v) { return v.present() ? map[v.id] : v; };
  for (size_t i = 0; i < frontier.size(); ++i) map[frontier[i].id] = b.input(names[i], joint.graph.type(frontier[i]));
  for (size_t at = 0; at < needed.size(); ++at) {
    const Node& node = joint.graph.node(at);
    if (!needed[at] || node.frozen) continue;
    Node copy = node;
    for (Value& v : copy.inputs) v = mapped(v);
    copy.grad_of = mapped(node.grad_of);
    std::vector<TensorType> types;
    std::vector<std::string> value_names;
    for (Value v : node.results) {
      types.push_back(joint.graph.type(v));
      value_names.push_back(joint.graph.info(v).name);
    }
    const size_t made = graph.append(std::move(copy), std::move(types), std::move(value_names));
    for (size_t i = 0; i < node.results.size(); ++i) map[node.results[i].id] = graph.node(made).results[i];
  }
  for (const Output& output : joint.graph.outputs()) graph.add_output(output.name, mapped(output.value));
  student.total = mapped(joint.total);
  for (Value v : joint.trained) student.trained.push_back(mapped(v));
  return student;
}

}  // namespace

TeacherCut cut_teacher(const JointGraph& joint) {
  const std::vector<bool> needed = needed_nodes(joint.graph);
  const std::vector<Value> frontier = frontier_of(joint.graph, needed);
  const std::vector<std::string> names = names_of(joint.graph, frontier);
  TeacherCut cut{teacher_of(joint.graph, frontier, names), student_of(joint, needed, frontier, names), {}};
  for (size_t i = 0; i < frontier.size(); ++i) cut.values.push_back({names[i], joint.graph.type(frontier[i])});
  return cut;
}

}  // namespace espalier::distill
