// What every op promises, over the registry and every op's samples: nothing here names an op, save where it says why.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

#include "core/base/error.h"
#include "core/ir/builder.h"
#include "core/ops/describe.h"
#include "core/ops/interpret.h"
#include "core/ops/registry.h"
#include "tests/support/random_tensor.h"

namespace espalier {
namespace {

using ops::evaluate;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr uint64_t kSeed = 1;

/// One sample as a call with data.
struct Case {
  OpCall call;
  std::vector<std::vector<double>> data;
  std::vector<RefTensor> in;

  Case(const OpDef& def, const Sample& sample) : data(testing::random_inputs(sample, kSeed)) {
    call = {&def, sample.inputs, complete_attrs(def, sample.attrs), {}};
    call.inputs.resize(std::max(call.inputs.size(), (*def.inputs).size()));
    data.resize(call.inputs.size());
    call.results = (*def.infer)(call);
    for (size_t i = 0; i < data.size(); ++i) in.push_back({call.inputs[i], data[i]});
  }
};

/// Runs one test body for every sample of every op; the trace names both.
template <typename F>
void for_each_sample(F&& body) {
  for (const OpDef* def : ops::all()) {
    const std::vector<Sample> samples = (*def->samples)();
    for (size_t i = 0; i < samples.size(); ++i) {
      SCOPED_TRACE(std::string(*def->name) + " sample " + std::to_string(i));
      body(*def, samples[i]);
    }
  }
}

std::vector<Value> graph_inputs(Builder& b, const OpCall& call) {
  std::vector<Value> values;
  for (size_t i = 0; i < call.inputs.size(); ++i)
    values.push_back(call.inputs[i].present() ? b.input("x" + std::to_string(i), call.inputs[i]) : Value{});
  return values;
}

/// Feeds inputs named x0, x1, … from a case.
ops::InterpretSource source_of(const Case& c) {
  return [&c](const Node& node) { return c.data[static_cast<size_t>(std::stoi(node.label.substr(1)))]; };
}

TEST(Registry, finds_every_op_by_its_name_and_only_those) {
  std::set<std::string_view> names;
  for (const OpDef* def : ops::all()) {
    EXPECT_EQ(ops::find(*def->name), def);
    EXPECT_TRUE(names.insert(*def->name).second) << *def->name << " is listed twice";
  }
  EXPECT_EQ(ops::find("conv3d"), nullptr);
}

TEST(OpContract, texts_operands_and_samples_are_there) {
  for (const OpDef* def : ops::all()) {
    SCOPED_TRACE(*def->name);
    EXPECT_TRUE(std::string_view(*def->summary).ends_with('.'));
    EXPECT_FALSE((*def->formula).empty());
    EXPECT_FALSE((*def->inputs).empty());
    EXPECT_GE((*def->samples)().size(), 3u);
    for (const AttrSpec& spec : *def->attrs) EXPECT_FALSE(spec.doc.empty()) << spec.name;
  }
}

TEST(OpContract, infer_agrees_with_the_builder) {
  for_each_sample([](const OpDef& def, const Sample& sample) {
    const Case c(def, sample);
    Graph graph;
    Builder b(graph);
    const std::vector<Value> results = b.ops(def, graph_inputs(b, c.call), sample.attrs);
    ASSERT_EQ(results.size(), c.call.results.size());
    for (size_t r = 0; r < results.size(); ++r) EXPECT_EQ(graph.type(results[r]), c.call.results[r]);
    const OpCall again = graph.call(graph.def(results[0]));
    EXPECT_EQ(again.attrs, c.call.attrs);
    EXPECT_EQ((*def.infer)(again), again.results);
  });
}

TEST(OpContract, completing_attributes_twice_changes_nothing) {
  for_each_sample([](const OpDef& def, const Sample& sample) {
    const Attrs once = complete_attrs(def, sample.attrs);
    EXPECT_EQ(complete_attrs(def, once), once);
    EXPECT_EQ(once.entries().size(), (*def.attrs).size());
    for (const AttrSpec& spec : *def.attrs) {
      Attrs without;
      for (const auto& [name, value] : once.entries())
        if (name != spec.name) without.set(name, value);
      if (spec.required)
        EXPECT_THROW(complete_attrs(def, without), VerifyError) << spec.name;
      else
        EXPECT_EQ(*complete_attrs(def, without).find(spec.name), spec.fallback);
    }
  });
}

TEST(OpContract, reference_is_deterministic_and_finite) {
  for_each_sample([](const OpDef& def, const Sample& sample) {
    const Case c(def, sample);
    const auto first = evaluate(c.call, c.in), second = evaluate(c.call, c.in);
    EXPECT_EQ(first, second);
    for (const auto& result : first)
      EXPECT_TRUE(std::all_of(result.begin(), result.end(), [](double v) { return std::isfinite(v); }));
  });
}

TEST(OpContract, sampled_elements_equal_the_full_result) {
  for_each_sample([](const OpDef& def, const Sample& sample) {
    const Case c(def, sample);
    const auto full = evaluate(c.call, c.in);
    for (size_t r = 0; r < full.size(); ++r) {
      // Elements in random order, then the last and the first: no cache may depend on ascending order.
      std::vector<int64_t> only;
      for (uint64_t k = 0; k < 40; ++k) only.push_back(static_cast<int64_t>(rng::bits(kSeed, 99, k) % full[r].size()));
      only.push_back(static_cast<int64_t>(full[r].size()) - 1);
      only.push_back(0);
      std::vector<double> data(only.size());
      std::vector<RefResult> out;
      std::vector<std::vector<double>> others = full;
      for (size_t each = 0; each < full.size(); ++each) out.push_back({c.call.results[each], others[each], {}});
      out[r] = {c.call.results[r], data, only};
      (*def.reference)(c.call, c.in, out);
      for (size_t k = 0; k < only.size(); ++k) ASSERT_EQ(data[k], full[r][static_cast<size_t>(only[k])]) << "element " << only[k];
    }
  });
}

TEST(OpContract, results_depend_on_every_operand) {
  for (const OpDef* def : ops::all()) {
    SCOPED_TRACE(*def->name);
    std::vector<bool> matters((*def->inputs).size(), false);
    for (const Sample& sample : (*def->samples)()) {
      Case c(*def, sample);
      const auto before = evaluate(c.call, c.in);
      for (size_t i = 0; i < c.data.size(); ++i) {
        if (c.data[i].empty()) continue;
        const std::vector<double> kept = c.data[i];
        for (size_t k = 0; k < kept.size(); ++k) c.data[i][k] = kept[k] * (1.0 + 0.5 * static_cast<double>(k % 3)) + 0.25;
        if (evaluate(c.call, c.in) != before) matters[std::min(i, matters.size() - 1)] = true;
        std::copy(kept.begin(), kept.end(), c.data[i].begin());
      }
    }
    for (size_t i = 0; i < matters.size(); ++i)
      EXPECT_TRUE(matters[i]) << (*def->inputs)[i].name << " changes no result of any sample";
  }
}

TEST(OpContract, cost_is_finite_and_positive) {
  for_each_sample([](const OpDef& def, const Sample& sample) {
    const Case c(def, sample);
    const Cost cost = (*def.cost)(c.call);
    for (double part : {cost.flops, cost.other_flops, cost.bytes_read, cost.bytes_written}) {
      EXPECT_TRUE(std::isfinite(part));
      EXPECT_GE(part, 0);
    }
    const bool view = &def == &ops::reshape_def;
    EXPECT_EQ(cost.bytes_read + cost.bytes_written > 0, !view);
  });
}

TEST(OpContract, decomposition_gives_the_composites_result) {
  size_t composites = 0;
  for_each_sample([&](const OpDef& def, const Sample& sample) {
    const auto* decompose = std::get_if<DecomposeFn>(&*def.decompose);
    if (decompose == nullptr) return;
    ++composites;
    const Case c(def, sample);
    Graph graph;
    Builder b(graph);
    const Value value = (*decompose)(b, c.call, graph_inputs(b, c.call));
    ASSERT_EQ(graph.type(value), c.call.results[0]);
    for (const Node& node : graph.nodes()) EXPECT_FALSE(node.is(def)) << "a decomposition must not contain its composite";
    b.output("y", value);
    const std::vector<double> parts = ops::interpret(graph, source_of(c), false)[0], whole = evaluate(c.call, c.in)[0];
    double largest = 0;
    for (double v : whole) largest = std::max(largest, std::fabs(v));
    for (size_t i = 0; i < whole.size(); ++i) ASSERT_NEAR(parts[i], whole[i], 1e-12 * largest + 1e-14) << "element " << i;
  });
  EXPECT_GT(composites, 0u);
}

/// The message that building one op with these operands gives; "" when it is accepted.
std::string refusal(const OpDef& def, std::vector<TensorType> inputs, const Attrs& attrs) {
  Graph graph;
  Builder b(graph);
  std::vector<Value> values;
  for (size_t i = 0; i < inputs.size(); ++i)
    values.push_back(inputs[i].present() ? b.input("x" + std::to_string(i), inputs[i]) : Value{});
  try {
    b.ops(def, values, attrs);
  } catch (const VerifyError& error) {
    return error.what();
  }
  return "";
}

TEST(OpContract, refuses_missing_and_surplus_operands_by_name) {
  for (const OpDef* def : ops::all()) {
    const std::string place = "[" + std::string(*def->name) + "] ";
    const Sample sample = (*def->samples)().front();
    EXPECT_EQ(refusal(*def, {}, sample.attrs), place + "operand '" + (*def->inputs)[0].name + "' is missing");
    if ((*def->inputs).back().variadic) continue;
    std::vector<TensorType> surplus = sample.inputs;
    surplus.resize((*def->inputs).size() + 1, f32({1}));
    EXPECT_THAT(refusal(*def, surplus, sample.attrs), StartsWith(place));
  }
}

TEST(OpContract, refuses_unknown_attributes_and_wrong_kinds) {
  for (const OpDef* def : ops::all()) {
    const std::string place = "[" + std::string(*def->name) + "] ";
    const Sample sample = (*def->samples)().front();
    Attrs extra = sample.attrs;
    extra.set("colour", std::string("green"));
    EXPECT_EQ(refusal(*def, sample.inputs, extra), place + "unknown attribute 'colour'");
    for (const AttrSpec& spec : *def->attrs) {
      Attrs wrong = sample.attrs;
      wrong.set(spec.name, kind_of(spec.fallback) == AttrKind::kString ? AttrValue(true) : AttrValue(std::string("x")));
      EXPECT_THAT(refusal(*def, sample.inputs, wrong), StartsWith(place + "attribute '" + spec.name + "' takes "));
    }
  }
}

TEST(OpContract, refuses_dtypes_that_do_not_fit) {
  const std::set<std::string_view> any_dtype{"broadcast", "cast", "permute", "reshape", "slice"};
  for (const OpDef* def : ops::all()) {
    if (any_dtype.count(*def->name) > 0) continue;
    SCOPED_TRACE(*def->name);
    Sample sample = (*def->samples)().front();
    sample.inputs[0].dtype = DType::kI32;
    EXPECT_THAT(refusal(*def, sample.inputs, sample.attrs), StartsWith("[" + std::string(*def->name) + "] "));
  }
}

TEST(Docs, docs_ops_md_is_current) {
  std::ifstream file(std::string(ESPALIER_SOURCE_DIR) + "/docs/ops.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), ops::describe_all()) << "write it anew: espalier ops --markdown > docs/ops.md";
}

TEST(Describe, names_operands_attributes_and_parts) {
  const std::string conv = ops::describe(ops::conv2d_def), attention = ops::describe(ops::attention_def);
  EXPECT_THAT(conv, StartsWith("## conv2d\n\nTwo-dimensional"));
  EXPECT_THAT(conv, HasSubstr("| `bias` | O | optional |"));
  EXPECT_THAT(conv, HasSubstr("| `padding` | ints | `[0,0,0,0]` | zero pixels at top, left, bottom, right |"));
  EXPECT_THAT(attention, HasSubstr("| `heads` | int | required |"));
  EXPECT_THAT(attention, HasSubstr("Composite of: reshape, permute, matmul, mul, softmax."));
}

}  // namespace
}  // namespace espalier
