// The bypass works on nodes alone: it finds a region by block path, its output as the one value that leaves it, its input
// as what its first node reads. Where that is a concatenation with a skip, the hidden state is the first of the two.

#include "core/prune/certificate.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/ir/hash.h"
#include "core/ir/walk.h"
#include "core/model/unet_graph.h"
#include "core/ops/registry.h"

namespace espalier::prune {
namespace {

using Region = std::vector<std::string>;  // block paths that go together

bool inside(const std::string& path, const Region& region) {
  return std::any_of(region.begin(), region.end(), [&](const std::string& block) { return is_inside(path, block); });
}

/// Rows that have equal ends only together: stages, samplers, and a mid block beside them. All others stand alone.
std::vector<Region> regions_of(const RemovalPlan& plan) {
  Region inner;
  std::vector<Region> regions;
  bool stages = false;
  const auto is_stage_part = [](const std::string& path) {
    return split(path, '.').size() == 2 || path.find("samplers.") != std::string::npos;
  };
  for (const Removal& removal : plan.removals) stages = stages || is_stage_part(removal.path);
  for (const Removal& removal : plan.removals) {
    if (stages && (is_stage_part(removal.path) || removal.path == "mid_block"))
      inner.push_back(removal.path);
    else
      regions.push_back({removal.path});
  }
  if (!inner.empty()) regions.push_back(std::move(inner));
  return regions;
}

[[noreturn]] void no_region(const Region& region, const std::string& why) {
  throw UserError(fmt::format("[{}] {}", join(region, ", "), why));
}

/// The one value made inside the region that is read outside it.
Value output_of(const Graph& graph, const Region& region) {
  std::vector<bool> made_inside(graph.values().size(), false);
  for (const Node& node : graph.nodes())
    if (node.kind == NodeKind::kOp && inside(node.path, region))
      for (const Value v : node.results) made_inside[v.id] = true;
  Value output;
  const auto take = [&](Value v) {
    if (!v.present() || !made_inside[v.id] || v == output) return;
    if (output.present()) no_region(region, "two values leave this region");
    output = v;
  };
  for (const Node& node : graph.nodes())
    if (!inside(node.path, region)) std::for_each(node.inputs.begin(), node.inputs.end(), take);
  for (const Output& out : graph.outputs()) take(out.value);
  if (!output.present()) no_region(region, "the graph has no such region");
  return output;
}

/// The hidden state that enters the region.
Value input_of(const Graph& graph, const Region& region, const TensorType& type) {
  const auto first = std::find_if(graph.nodes().begin(), graph.nodes().end(),
                                  [&](const Node& node) { return node.kind == NodeKind::kOp && inside(node.path, region); });
  Value input = first->inputs.front();
  const Node& maker = graph.def(input);
  if (maker.kind == NodeKind::kOp && maker.is(ops::concat_def) && !(graph.type(input) == type)) input = maker.inputs.front();
  if (!(graph.type(input) == type))
    no_region(region, fmt::format("enters as {} and leaves as {}", to_string(graph.type(input)), to_string(type)));
  return input;
}

Graph only_needed(const Graph& graph) {
  const std::vector<bool> needed = needed_nodes(graph);
  Graph kept;
  kept.name = graph.name;
  std::vector<Value> to(graph.values().size());
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    if (!needed[i]) continue;
    Node node = graph.node(i);
    const std::vector<Value> results = node.results;
    std::vector<TensorType> types;
    std::vector<std::string> names;
    for (const Value v : results) {
      types.push_back(graph.type(v));
      names.push_back(graph.info(v).name);
    }
    for (Value& v : node.inputs)
      if (v.present()) v = to[v.id];
    const size_t index = kept.append(std::move(node), std::move(types), std::move(names));
    for (size_t r = 0; r < results.size(); ++r) to[results[r].id] = kept.node(index).results[r];
  }
  for (const Output& output : graph.outputs()) kept.add_output(output.name, to[output.value.id]);
  return kept;
}

/// Any size does; this one divides evenly at every stage and no two kinds of value share a shape.
model::GraphOptions small_graph(const model::BlockTree& teacher) {
  model::GraphOptions options;
  options.height = options.width = int64_t{2} << teacher.down.size();
  return options;
}

Graph renamed_to_origins(Graph graph, const model::BlockTree& student) {
  std::map<std::string, std::string> origins;
  for (const model::TensorSpec& spec : model::tensor_specs(student)) origins.emplace(spec.name, spec.origin);
  for (size_t i = 0; i < graph.nodes().size(); ++i)
    if (Node& node = graph.node(i); node.kind == NodeKind::kParam) node.label = origins.at(node.label);
  return graph;
}

}  // namespace

std::string Certificate::describe() const {
  if (!holds) return "FAILS: " + difference;
  return fmt::format("holds ({} nodes, structural hash {:016x})", with_commas(static_cast<int64_t>(nodes)), hash);
}

Graph bypass_regions(const Graph& graph, const RemovalPlan& plan) {
  std::vector<Value> instead(graph.values().size());
  for (uint32_t id = 0; id < instead.size(); ++id) instead[id] = Value{id};
  for (const Region& region : regions_of(plan)) {
    const Value output = output_of(graph, region);
    instead[output.id] = input_of(graph, region, graph.type(output));
  }
  const auto resolve = [&](Value v) {
    while (v.present() && !(instead[v.id] == v)) v = instead[v.id];
    return v;
  };
  Graph bypassed = graph;
  for (size_t i = 0; i < bypassed.nodes().size(); ++i)
    for (Value& v : bypassed.node(i).inputs) v = resolve(v);
  std::vector<Output> outputs = bypassed.outputs();
  for (Output& output : outputs) output.value = resolve(output.value);
  bypassed.set_outputs(std::move(outputs));
  return only_needed(bypassed);
}

Certificate certify(const model::BlockTree& teacher, const RemovalPlan& plan, const model::BlockTree& student) {
  const model::GraphOptions options = small_graph(teacher);
  const StructureOptions what{.paths = false, .param_names = true};
  Certificate certificate;
  try {
    const Graph built = renamed_to_origins(model::build_graph(student, options), student);
    const Graph bypassed = bypass_regions(model::build_graph(teacher, options), plan);
    certificate.nodes = built.nodes().size();
    certificate.hash = structural_hash(built, what);
    certificate.difference = structural_difference(built, bypassed, what);
    certificate.holds = certificate.difference.empty() && certificate.hash == structural_hash(bypassed, what);
    if (!certificate.holds && certificate.difference.empty()) certificate.difference = "the structural hashes differ";
  } catch (const UserError& error) {
    certificate.difference = error.what();
  }
  return certificate;
}

}  // namespace espalier::prune
