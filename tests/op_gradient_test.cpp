// The gradient rule of every op against finite differences of its reference, all in double.

#include <gtest/gtest.h>

#include "core/autodiff/check_gradient.h"
#include "core/ir/builder.h"
#include "core/ops/registry.h"
#include "tests/support/random_tensor.h"

namespace espalier {
namespace {

constexpr uint64_t kSeed = 5;
constexpr double kTolerance = 2e-7;
constexpr int64_t kLargest = 2048;  // elements of all operands: more show nothing new, and one would lie at a kink of abs

int64_t elements_of(const Sample& sample) {
  int64_t sum = 0;
  for (const TensorType& type : sample.inputs)
    if (type.present()) sum += type.shape.elements();
  return sum;
}

/// A cast that rounds: its differences are zero or huge. The rule passes the cotangent on, which the cast to f64 shows.
bool is_staircase(const Sample& sample) {
  const AttrValue* to = sample.attrs.find("to");
  return to != nullptr && std::get<std::string>(*to) != "f64";
}

/// The op alone, its operands inputs x0, x1, ….
Graph one_op(const OpDef& def, const Sample& sample) {
  Graph graph;
  Builder b(graph);
  std::vector<Value> inputs;
  for (size_t i = 0; i < sample.inputs.size(); ++i)
    inputs.push_back(sample.inputs[i].present() ? b.input("x" + std::to_string(i), sample.inputs[i]) : Value{});
  const std::vector<Value> results = b.ops(def, inputs, sample.attrs);
  for (size_t i = 0; i < results.size(); ++i) b.output("y" + std::to_string(i), results[i]);
  return graph;
}

ops::InterpretSource source_of(std::vector<std::vector<double>> data) {
  return [data = std::move(data)](const Node& node) { return data[static_cast<size_t>(std::stoi(node.label.substr(1)))]; };
}

TEST(OpGradient, equals_finite_differences_for_every_differentiable_op) {
  size_t ops_checked = 0;
  for (const OpDef* def : ops::all()) {
    if (std::holds_alternative<NonDifferentiable>(*def->vjp) || std::holds_alternative<StopsGradient>(*def->vjp)) continue;
    size_t rows_checked = 0;
    const std::vector<Sample> samples = (*def->samples)();
    for (size_t s = 0; s < samples.size(); ++s) {
      if (elements_of(samples[s]) > kLargest || is_staircase(samples[s])) continue;
      SCOPED_TRACE(std::string(*def->name) + " sample " + std::to_string(s));
      const autodiff::GradientGraph made = autodiff::with_gradients(one_op(*def, samples[s]));
      EXPECT_TRUE(made.not_differentiable.empty());
      for (const autodiff::GradientRow& row :
           autodiff::check_gradient(made, source_of(testing::random_inputs(samples[s], kSeed)), {.seed = kSeed})) {
        EXPECT_LE(row.worst, kTolerance) << row.name;
        ++rows_checked;
      }
    }
    EXPECT_GT(rows_checked, 0u) << *def->name << " has no sample that is small enough";
    ++ops_checked;
  }
  EXPECT_GT(ops_checked, 40u);
}

TEST(OpGradient, is_absent_before_an_op_that_stops_it) {
  size_t found = 0;
  for (const OpDef* def : ops::all()) {
    if (!std::holds_alternative<StopsGradient>(*def->vjp)) continue;
    ++found;
    const autodiff::GradientGraph made = autodiff::with_gradients(one_op(*def, (*def->samples)().front()));
    EXPECT_FALSE(made.wrt.empty());
    EXPECT_EQ(made.graph.outputs().size(), 1u) << *def->name;
  }
  EXPECT_GT(found, 0u);
}

TEST(OpGradient, is_refused_with_the_reason_where_there_is_none) {
  size_t found = 0;
  for (const OpDef* def : ops::all()) {
    const auto* none = std::get_if<NonDifferentiable>(&*def->vjp);
    if (none == nullptr) continue;
    ++found;
    EXPECT_FALSE(none->reason.ends_with('.')) << *def->name;
    const autodiff::GradientGraph made = autodiff::with_gradients(one_op(*def, (*def->samples)().front()));
    ASSERT_FALSE(made.not_differentiable.empty());
    EXPECT_EQ(made.not_differentiable[0], "x0: [" + std::string(*def->name) + "] has no gradient: " + std::string(none->reason));
  }
  EXPECT_GT(found, 0u);
}

TEST(OpGradient, of_parts_needs_a_decomposition) {
  for (const OpDef* def : ops::all())
    if (std::holds_alternative<ThroughParts>(*def->vjp)) {
      EXPECT_TRUE(std::holds_alternative<DecomposeFn>(*def->decompose)) << *def->name;
    }
}

}  // namespace
}  // namespace espalier
