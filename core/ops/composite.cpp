// composite: a region with a name. The body travels as text in an attribute, so that a composite is printed, parsed, compared and
// hashed like any node; a backend that knows the name may run it as one kernel, everything else writes it out.

#include "core/ops/composite.h"

#include "core/base/error.h"
#include "core/ir/append.h"
#include "core/ir/parse.h"
#include "core/ops/interpret.h"
#include "core/ops/op_common.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

Graph body_of(const OpCall& call) { return parse(call.attrs.s("body"), registry(), *call.op->name); }

std::vector<TensorType> infer(const OpCall& call) {
  if (call.attrs.s("name").empty()) refuse(call, "it has no name");
  Graph body;
  try {
    body = body_of(call);
  } catch (const UserError& error) {
    refuse(call, std::string("its body does not parse: ") + error.what());
  }
  const std::vector<Value> inputs = body.inputs();
  if (inputs.size() != call.inputs.size())
    refuse(call,
           "it has " + std::to_string(call.inputs.size()) + " operands, its body " + std::to_string(inputs.size()) + " inputs");
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!(body.type(inputs[i]) == call.inputs[i]))
      refuse(call, "operand " + std::to_string(i) + " is " + to_string(call.inputs[i]) + ", its body's is " +
                       to_string(body.type(inputs[i])));
  if (!body.params().empty()) refuse(call, "its body reads parameters; they are operands of it");
  for (const Node& node : body.nodes())
    if (node.kind == NodeKind::kOp && node.is(composite_def)) refuse(call, "a composite in its body");
  if (body.outputs().size() != 1)
    refuse(call, "its body returns " + std::to_string(body.outputs().size()) + " values, needs one");
  return {body.type(body.outputs()[0].value)};
}

Value decompose(Builder& b, const OpCall& call, std::span<const Value> in) {
  const Graph body = body_of(call);
  const std::vector<Value> inputs = body.inputs();
  const auto leaf = [&](const Node& node, const TensorType&) {
    for (size_t i = 0; i < inputs.size(); ++i)
      if (body.def(inputs[i]).label == node.label) return in[i];
    return Value{};
  };
  return append_graph(b.graph(), body, leaf, [&](Node& node) { node.path = b.path(), node.frozen = b.frozen; })[0];
}

// Of the body's parts, but for the traffic between them: one kernel would keep that to itself.
Cost cost(const OpCall& call) {
  Cost sum = streaming_cost(call, 0);
  const Graph body = body_of(call);
  for (const Node& node : body.nodes()) {
    if (node.kind != NodeKind::kOp) continue;
    const Cost part = (*node.op->cost)(body.call(node));
    sum.flops += part.flops;
    sum.other_flops += part.other_flops;
  }
  return sum;
}

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const Graph body = body_of(call);
  const std::vector<Value> inputs = body.inputs();
  const auto source = [&](const Node& node) -> std::vector<double> {
    for (size_t i = 0; i < inputs.size(); ++i)
      if (body.def(inputs[i]).label == node.label) return {in[i].data.begin(), in[i].data.end()};
    return {};
  };
  const std::vector<double> made = interpret(body, source, false)[0];
  out[0].fill([&](int64_t i) { return made[static_cast<size_t>(i)]; });
}

constexpr const char* kSquares = R"(graph @body(%x: f32[3,7], %y: f32[3,7]) -> f32[3,7] {
  %d = sub %x, %y : f32[3,7]
  %s = square %d : f32[3,7]
  %r = mul %s, %x : f32[3,7]
  return %r
})";
constexpr const char* kMean = R"(graph @body(%x: f32[2,5]) -> f32[] {
  %a = abs %x : f32[2,5]
  %r = reduce_mean %a : f32[]
  return %r
})";
constexpr const char* kOne = R"(graph @body(%x: f32[1]) -> f32[1] {
  %c = constant [2] : f32[]
  %r = mul %x, %c : f32[1]
  return %r
})";

std::vector<Sample> samples() {
  return {{.inputs = {f32({1})}, .attrs = {{"name", std::string("espalier.example.twice")}, {"body", std::string(kOne)}}},
          {.inputs = {f32({3, 7}), f32({3, 7})},
           .attrs = {{"name", std::string("espalier.example.squares")}, {"body", std::string(kSquares)}}},
          {.inputs = {f32({2, 5})}, .attrs = {{"name", std::string("espalier.example.mean-abs")}, {"body", std::string(kMean)}}}};
}

}  // namespace

const OpDef composite_def{
    .name = "composite",
    .summary = "A region with a name, which a backend may run as one kernel.",
    .formula = "y = what the graph in body returns for the operands",
    .inputs = std::vector<OperandSpec>{{"operands", "…", false, true}},
    .attrs = std::vector<AttrSpec>{{"body", std::string(),
                                    "text of a graph of one output, whose inputs are the operands in order", true},
                                   {"name", std::string(), "what backends know it by, in reverse-domain form", true}},
    .infer = infer,
    .decompose = DecomposeFn(decompose),
    .vjp = ThroughParts{},
    .cost = cost,
    .reference = reference,
    .samples = samples};

Value composite(Builder& b, const std::string& name, std::vector<Value> inputs, const std::string& body) {
  return b.op(composite_def, std::move(inputs), {{"name", name}, {"body", body}});
}

}  // namespace espalier::ops
