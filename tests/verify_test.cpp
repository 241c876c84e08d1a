// Graphs that no builder makes: the verifier names op, block path and the lines around.

#include "core/ir/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/ir/builder.h"
#include "core/ops/registry.h"

namespace espalier {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Node node_of(const OpDef& def, std::vector<Value> inputs, Attrs attrs = {}) {
  Node node;
  node.op = &def;
  node.inputs = std::move(inputs);
  node.attrs = std::move(attrs);
  node.path = "mid_block.resnets.0";
  return node;
}

/// x, then whatever a test appends.
struct Fixture {
  Graph graph;
  Value x;
  Fixture() { x = Builder(graph).input("x", f32({2, 3})); }
};

TEST(Verify, accepts_a_sound_graph) {
  Fixture f;
  f.graph.append(node_of(ops::neg_def, {f.x}), {f32({2, 3})});
  EXPECT_THAT(faults(f.graph), IsEmpty());
  EXPECT_NO_THROW(verify(f.graph));
}

TEST(Verify, names_op_path_and_five_lines_around) {
  Fixture f;
  for (int i = 0; i < 3; ++i) f.graph.append(node_of(ops::neg_def, {f.x}), {f32({2, 3})});
  f.graph.append(node_of(ops::exp_def, {f.x}), {f32({3, 2})}, {"bad"});
  for (int i = 0; i < 3; ++i) f.graph.append(node_of(ops::abs_def, {f.x}), {f32({2, 3})});
  EXPECT_THAT(faults(f.graph), ElementsAre("[exp] result '%bad' is f32[3,2], its operands make f32[2,3] (mid_block.resnets.0)\n"
                                           "    %v2 = neg %x : f32[2,3] @mid_block.resnets.0\n"
                                           "    %v3 = neg %x : f32[2,3] @mid_block.resnets.0\n"
                                           "  > %bad = exp %x : f32[3,2] @mid_block.resnets.0\n"
                                           "    %v5 = abs %x : f32[2,3] @mid_block.resnets.0\n"
                                           "    %v6 = abs %x : f32[2,3] @mid_block.resnets.0"));
}

TEST(Verify, refuses_a_use_before_the_definition) {
  Fixture f;
  f.graph.append(node_of(ops::neg_def, {Value{2}}), {f32({2, 3})});
  f.graph.append(node_of(ops::neg_def, {f.x}), {f32({2, 3})});
  EXPECT_THAT(faults(f.graph), ElementsAre(HasSubstr("[neg] operand 0 '%v2' is defined later")));
}

TEST(Verify, refuses_a_value_that_does_not_exist) {
  Fixture f;
  f.graph.append(node_of(ops::neg_def, {Value{99}}), {f32({2, 3})});
  f.graph.add_output("y", Value{98});
  EXPECT_THAT(faults(f.graph), ElementsAre(HasSubstr("operand 0 does not exist"), HasSubstr("output \"y\" does not exist")));
}

TEST(Verify, checks_arity_and_attributes) {
  Fixture f;
  f.graph.append(node_of(ops::add_def, {f.x}), {f32({2, 3})});
  f.graph.append(node_of(ops::neg_def, {f.x}, {{"axis", int64_t{1}}}), {f32({2, 3})});
  f.graph.append(node_of(ops::permute_def, {f.x}), {f32({2, 3})});
  f.graph.append(node_of(ops::reduce_sum_def, {f.x}, {{"axes", std::vector<int64_t>{}}}), {f32({})});
  f.graph.append(node_of(ops::cast_def, {f.x}, {{"to", int64_t{1}}}), {f32({2, 3})});
  EXPECT_THAT(
      faults(f.graph),
      ElementsAre(HasSubstr("is missing"), HasSubstr("unknown attribute 'axis'"), HasSubstr("attribute 'order' is missing"),
                  HasSubstr("not completed with their defaults"), HasSubstr("attribute 'to' takes a string")));
}

TEST(Verify, checks_names_of_inputs_parameters_and_outputs) {
  Fixture f;
  Builder(f.graph).input("x", f32({1}));
  Node param;
  param.kind = NodeKind::kParam;
  f.graph.append(param, {f32({1})});
  param.label = "w";
  f.graph.append(param, {f32({1})});
  f.graph.append(param, {f32({1})});
  f.graph.add_output("a", f.x);
  f.graph.add_output("a", f.x);
  f.graph.add_output("", f.x);
  EXPECT_THAT(faults(f.graph),
              ElementsAre(HasSubstr("the name \"x\" is taken by an earlier input"), HasSubstr("[param] has no name"),
                          HasSubstr("the name \"w\" is taken"), HasSubstr("output \"a\" stands there twice"),
                          HasSubstr("an output of several has no name")));
}

TEST(Verify, checks_constants_extents_and_results) {
  Fixture f;
  Node constant;
  constant.kind = NodeKind::kConstant;
  constant.data = std::make_shared<const std::vector<double>>(2, 1.0);
  f.graph.append(constant, {f32({3})});
  f.graph.append(node_of(ops::neg_def, {f.x}), {f32({2, 3}), f32({2, 3})});
  f.graph.append(node_of(ops::slice_def, {f.x}, {{"axis", int64_t{0}}, {"begin", int64_t{0}}, {"end", int64_t{1}}}),
                 {f32({0, 3})});
  const std::vector<std::string> found = faults(f.graph);
  ASSERT_THAT(found, SizeIs(4));
  EXPECT_THAT(found[0], HasSubstr("[constant] holds another number of values than its type"));
  EXPECT_THAT(found[1], HasSubstr("[neg] has 2 results, its contract makes 1"));
  EXPECT_THAT(found[2], HasSubstr("has an extent below 1"));
  EXPECT_THAT(found[3], HasSubstr("is f32[0,3], its operands make f32[1,3]"));
}

TEST(Verify, refuses_a_backward_node_of_a_later_value) {
  Fixture f;
  Node node = node_of(ops::neg_def, {f.x});
  node.grad_of = Value{1};
  f.graph.append(node, {f32({2, 3})});
  EXPECT_THAT(faults(f.graph), ElementsAre(HasSubstr("!grad names a value that is not defined before")));
}

TEST(Verify, throws_the_first_ten_faults_and_counts_the_rest) {
  Fixture f;
  for (int i = 0; i < 13; ++i) f.graph.append(node_of(ops::neg_def, {f.x}), {f32({1})});
  try {
    verify(f.graph);
    FAIL() << "it was accepted";
  } catch (const VerifyError& error) {
    EXPECT_THAT(error.what(), HasSubstr("… and 3 more"));
    EXPECT_THAT(error.what(), HasSubstr("in graph @main"));
  }
}

TEST(Verify, refuses_to_read_what_an_in_place_op_has_overwritten) {
  Graph graph;
  Builder b(graph);
  const Value sum = b.input("sum", f32({3})), x = b.input("x", f32({3}));
  const Value view = b.op(ops::reshape_def, {sum}, {{"shape", std::vector<int64_t>{1, 3}}});
  const Value now = b.op(ops::accumulate_def, {sum, x});
  b.output("now", b.op(ops::neg_def, {now}));
  EXPECT_THAT(faults(graph), IsEmpty()) << "the new value may be read, and the old one before";
  b.op(ops::neg_def, {view});
  EXPECT_THAT(faults(graph), ElementsAre(HasSubstr("[neg] reads '%v2', which accumulate has overwritten in place")));
}

TEST(Verify, refuses_the_overwritten_value_as_an_output) {
  Graph graph;
  Builder b(graph);
  const Value sum = b.input("sum", f32({3})), x = b.input("x", f32({3}));
  b.output("now", b.op(ops::accumulate_def, {sum, x}));
  b.output("old", sum);
  EXPECT_THAT(faults(graph), ElementsAre("[return] output \"old\" is '%sum', which accumulate has overwritten in place"));
}

TEST(Verify, refuses_to_overwrite_what_is_not_an_input_or_is_read_twice) {
  Graph graph;
  Builder b(graph);
  const Value x = b.input("x", f32({3})), weight = b.param("weight", f32({3}));
  b.op(ops::accumulate_def, {weight, x});
  b.op(ops::accumulate_def, {b.op(ops::neg_def, {x}), x});
  b.op(ops::accumulate_def, {x, x});
  EXPECT_THAT(faults(graph), ElementsAre(HasSubstr("[accumulate] overwrites '%p0' in place, which is not an input of the graph"),
                                         HasSubstr("[accumulate] overwrites '%v3' in place, which is not an input of the graph"),
                                         HasSubstr("[accumulate] reads '%x' a second time, which it overwrites in place")));
}

}  // namespace
}  // namespace espalier
