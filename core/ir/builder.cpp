#include "core/ir/builder.h"

#include "core/base/error.h"
#include "core/base/text.h"

namespace espalier {
namespace {

std::string place(const OpDef& def) { return "[" + std::string(*def.name) + "] "; }

std::string_view name_of(AttrKind kind) {
  switch (kind) {
    case AttrKind::kInt:
      return "a whole number";
    case AttrKind::kFloat:
      return "a number";
    case AttrKind::kBool:
      return "true or false";
    case AttrKind::kString:
      return "a string";
    case AttrKind::kInts:
      return "a list of whole numbers";
    case AttrKind::kFloats:
      return "a list of numbers";
  }
  return "?";
}

}  // namespace

AttrValue attr_of_kind(const OpDef& def, const AttrSpec& spec, const AttrValue& given) {
  const AttrKind want = kind_of(spec.fallback);
  if (kind_of(given) == want) return given;
  if (want == AttrKind::kFloat && kind_of(given) == AttrKind::kInt) return static_cast<double>(std::get<int64_t>(given));
  if (want == AttrKind::kFloats && kind_of(given) == AttrKind::kInts) {
    const auto& whole = std::get<std::vector<int64_t>>(given);
    return std::vector<double>(whole.begin(), whole.end());
  }
  throw VerifyError(place(def) + "attribute '" + spec.name + "' takes " + std::string(name_of(want)) + ", got " +
                    std::string(name_of(kind_of(given))));
}

Attrs complete_attrs(const OpDef& def, const Attrs& attrs) {
  Attrs full;
  std::vector<std::string> known;
  for (const AttrSpec& spec : *def.attrs) {
    known.push_back(spec.name);
    const AttrValue* given = attrs.find(spec.name);
    if (given == nullptr && spec.required) throw VerifyError(place(def) + "attribute '" + spec.name + "' is missing");
    full.set(spec.name, given == nullptr ? spec.fallback : attr_of_kind(def, spec, *given));
  }
  for (const auto& [name, value] : attrs.entries())
    if (full.find(name) == nullptr)
      throw VerifyError(place(def) + "unknown attribute '" + name + "'" + did_you_mean(name, known));
  return full;
}

void check_arity(const OpDef& def, std::span<const TensorType> inputs) {
  const auto& specs = *def.inputs;
  const bool variadic = !specs.empty() && specs.back().variadic;
  if (inputs.size() > specs.size() && !variadic)
    throw VerifyError(place(def) + "takes at most " + std::to_string(specs.size()) + " operands, got " +
                      std::to_string(inputs.size()));
  for (size_t i = 0; i < specs.size(); ++i) {
    const bool present = i < inputs.size() && inputs[i].present();
    if (!present && !specs[i].optional) throw VerifyError(place(def) + "operand '" + specs[i].name + "' is missing");
  }
}

Value Builder::input(std::string_view name, TensorType type) {
  Node node;
  node.kind = NodeKind::kInput;
  node.label = std::string(name);
  return graph_.node(graph_.append(std::move(node), {std::move(type)}, {std::string(name)})).results.front();
}

Value Builder::param(std::string_view name, TensorType type) {
  if (Value known = params_find(name); known.present()) {
    if (!(graph_.type(known) == type)) internal_error("parameter '" + std::string(name) + "' is asked for with two types");
    return known;
  }
  Node node;
  node.kind = NodeKind::kParam;
  node.label = std::string(name);
  node.path = path_;
  node.frozen = frozen;
  const Value value =
      graph_.node(graph_.append(std::move(node), {std::move(type)}, {"p" + std::to_string(params_.size())})).results.front();
  params_.emplace(std::string(name), value);
  return value;
}

Value Builder::params_find(std::string_view name) {
  if (!params_known_) {
    for (const Node& node : graph_.nodes())
      if (node.kind == NodeKind::kParam) params_.emplace(node.label, node.results.front());
    params_known_ = true;
  }
  auto at = params_.find(std::string(name));
  return at == params_.end() ? Value{} : at->second;
}

Value Builder::constant(TensorType type, std::vector<double> values) {
  ESP_CHECK(static_cast<int64_t>(values.size()) == type.shape.elements());
  Node node;
  node.kind = NodeKind::kConstant;
  node.path = path_;
  node.data = std::make_shared<const std::vector<double>>(std::move(values));
  return graph_.node(graph_.append(std::move(node), {std::move(type)})).results.front();
}

std::vector<Value> Builder::ops(const OpDef& def, std::vector<Value> inputs, const Attrs& attrs) {
  try {
    while (!inputs.empty() && !inputs.back().present()) inputs.pop_back();
    Node node;
    node.op = &def;
    node.path = path_;
    node.frozen = frozen;
    node.inputs = std::move(inputs);
    OpCall call{&def, {}, complete_attrs(def, attrs), {}};
    for (Value v : node.inputs) call.inputs.push_back(v.present() ? graph_.type(v) : TensorType{});
    check_arity(def, call.inputs);
    // Optional operands that are left out still have a place, so that shape rules may index every operand.
    while (call.inputs.size() < (*def.inputs).size()) call.inputs.emplace_back();
    std::vector<TensorType> types = (*def.infer)(call);
    node.attrs = std::move(call.attrs);
    return graph_.node(graph_.append(std::move(node), std::move(types))).results;
  } catch (Error& error) {
    if (!path_.empty()) error.add_context("in " + path_);
    throw;
  }
}

Value Builder::op(const OpDef& def, std::vector<Value> inputs, const Attrs& attrs, std::string_view name) {
  const std::vector<Value> results = ops(def, std::move(inputs), attrs);
  ESP_CHECK(results.size() == 1);
  if (!name.empty()) graph_.set_value_name(results.front(), std::string(name));
  return results.front();
}

}  // namespace espalier
