#include "core/ops/describe.h"

#include <algorithm>
#include <cstdio>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/ir/builder.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

template <typename T>
std::string list_text(const std::vector<T>& list, std::string (*element)(T)) {
  std::vector<std::string> parts;
  parts.reserve(list.size());
  for (T each : list) parts.push_back(element(each));
  return "[" + join(parts, ",") + "]";
}

std::string int_text(int64_t value) { return std::to_string(value); }

std::string float_text(double value) {
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, "%g", value);
  return buffer;
}

std::string kind_text(AttrKind kind) {
  switch (kind) {
    case AttrKind::kInt:
      return "int";
    case AttrKind::kFloat:
      return "float";
    case AttrKind::kBool:
      return "bool";
    case AttrKind::kString:
      return "string";
    case AttrKind::kInts:
      return "ints";
    case AttrKind::kFloats:
      return "floats";
  }
  internal_error("unknown attribute kind");
}

std::string value_text(const AttrValue& value) {
  switch (kind_of(value)) {
    case AttrKind::kInt:
      return int_text(std::get<int64_t>(value));
    case AttrKind::kFloat:
      return float_text(std::get<double>(value));
    case AttrKind::kBool:
      return std::get<bool>(value) ? "true" : "false";
    case AttrKind::kString:
      return '"' + std::get<std::string>(value) + '"';
    case AttrKind::kInts:
      return list_text<int64_t>(std::get<std::vector<int64_t>>(value), int_text);
    case AttrKind::kFloats:
      return list_text<double>(std::get<std::vector<double>>(value), float_text);
  }
  internal_error("unknown attribute kind");
}

/// Names of the ops that a composite's decomposition emits, each once, in order; empty for a primitive.
std::vector<std::string> parts_of(const OpDef& def) {
  const auto* decompose = std::get_if<DecomposeFn>(&*def.decompose);
  if (decompose == nullptr) return {};
  const Sample sample = (*def.samples)().front();
  Graph graph;
  Builder b(graph);
  std::vector<Value> inputs;
  OpCall call{&def, sample.inputs, complete_attrs(def, sample.attrs), {}};
  call.inputs.resize(std::max(call.inputs.size(), (*def.inputs).size()));
  for (size_t i = 0; i < call.inputs.size(); ++i)
    inputs.push_back(call.inputs[i].present() ? b.input("x" + std::to_string(i), call.inputs[i]) : Value{});
  call.results = (*def.infer)(call);
  (*decompose)(b, call, inputs);
  std::vector<std::string> names;
  for (const Node& node : graph.nodes()) {
    if (node.kind != NodeKind::kOp) continue;
    const std::string name(*node.op->name);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

}  // namespace

std::string describe(const OpDef& def) {
  std::string text =
      "## " + std::string(*def.name) + "\n\n" + std::string(*def.summary) + "\n\n`" + std::string(*def.formula) + "`\n";
  text += "\n| operand | shape | |\n|---|---|---|\n";
  for (const OperandSpec& spec : *def.inputs)
    text += "| `" + spec.name + "` | " + spec.shape + " | " +
            (spec.optional   ? "optional"
             : spec.variadic ? "one or more"
                             : "") +
            " |\n";
  if (!(*def.attrs).empty()) {
    text += "\n| attribute | kind | default | |\n|---|---|---|---|\n";
    for (const AttrSpec& spec : *def.attrs)
      text += "| `" + spec.name + "` | " + kind_text(kind_of(spec.fallback)) + " | " +
              (spec.required ? "required" : "`" + value_text(spec.fallback) + "`") + " | " + spec.doc + " |\n";
  }
  if (const std::vector<std::string> parts = parts_of(def); !parts.empty())
    text += "\nComposite of: " + join(parts, ", ") + ".\n";
  if (std::holds_alternative<ThroughParts>(*def.vjp)) text += "\nGradient: that of its parts.\n";
  if (const auto* none = std::get_if<NonDifferentiable>(&*def.vjp)) text += "\nNo gradient: " + std::string(none->reason) + ".\n";
  return text;
}

std::string describe_all() {
  std::string text =
      "# Ops\n\nWritten by `espalier ops --markdown` from the definitions in `core/ops`; a test compares. Images are `N,H,W,C`, "
      "weights are "
      "as "
      "the files have them. Letters: `N` batch, `H` `W` height and width, `C` `O` input and output channels, `kh` `kw` filter, "
      "`K` "
      "inner width, `L` `S` query and key length, `U` units, `…` any dimensions.\n\n| op | |\n|---|---|\n";
  for (const OpDef* def : all())
    text += "| [" + std::string(*def->name) + "](#" + std::string(*def->name) + ") | " + std::string(*def->summary) + " |\n";
  for (const OpDef* def : all()) text += "\n" + describe(*def);
  return text;
}

}  // namespace espalier::ops
