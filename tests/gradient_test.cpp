// What append_gradient promises about whole graphs; the rules of single ops are op_gradient_test's.

#include "core/autodiff/gradient.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/autodiff/check_gradient.h"
#include "core/base/error.h"
#include "core/ir/hash.h"
#include "core/ir/parse.h"
#include "core/ir/print.h"
#include "core/ir/verify.h"
#include "core/ops/registry.h"
#include "core/passes/pipeline.h"
#include "tests/support/random_graph.h"

namespace espalier {
namespace {

Graph parsed(const std::string& text) { return parse(text, ops::registry()); }

std::vector<std::string> output_names(const Graph& graph) {
  std::vector<std::string> names;
  for (const Output& output : graph.outputs()) names.push_back(output.name);
  return names;
}

TEST(Gradient, of_a_block_with_composites_and_shared_values_equals_finite_differences) {
  const Graph graph = parsed(R"(graph @block(%x: f32[2,4,4,8], %t: f32[2,6]) -> f32[2,4,4,8] {
  %g = param "norm.weight" : f32[8]
  %h = param "norm.bias" : f32[8]
  %w = param "conv.weight" : f32[8,8,3,3]
  %e = param "time.weight" : f32[8,6]
  %a = param "ff.weight" : f32[32,8]
  %o = param "out.weight" : f32[8,16]
  %n = group_norm_silu %x, %g, %h {groups=2} : f32[2,4,4,8]
  %c = conv2d %n, %w {padding=[1,1,1,1]} : f32[2,4,4,8]
  %s = linear %t, %e : f32[2,8]
  %r = reshape %s {shape=[2,1,1,8]} : f32[2,1,1,8]
  %u = add %c, %r : f32[2,4,4,8]
  %v = add %u, %x : f32[2,4,4,8]
  %f = reshape %v {shape=[2,16,8]} : f32[2,16,8]
  %q = attention %f, %f, %f {heads=2} : f32[2,16,8]
  %k = linear_geglu %q, %a : f32[2,16,16]
  %y = linear_add %k, %o, none, %f : f32[2,16,8]
  %z = reshape %y {shape=[2,4,4,8]} : f32[2,4,4,8]
  return %z
})");
  const autodiff::GradientGraph made = autodiff::with_gradients(graph);
  verify(made.graph);
  EXPECT_EQ(made.wrt.size(), 8u);
  for (const autodiff::GradientRow& row : autodiff::check_gradient(made, autodiff::random_source(made.graph, 3))) {
    EXPECT_LE(row.worst, 1e-7) << row.name;
    EXPECT_GT(row.largest_gradient, 0) << row.name;
  }
}

TEST(Gradient, does_not_enter_frozen_nodes_or_pass_stop_gradient) {
  const Graph graph = parsed(R"(graph @pair(%x: f32[3]) -> f32[3] {
  %t = param "teacher" : f32[3] !frozen
  %s = param "student" : f32[3]
  %u = param "unused" : f32[3]
  %a = mul %x, %t : f32[3] !frozen
  %b = mul %x, %s : f32[3]
  %c = stop_gradient %b : f32[3]
  %d = sub %b, %c : f32[3]
  %y = sub %d, %a : f32[3]
  return %y
})");
  const autodiff::GradientGraph made = autodiff::with_gradients(graph);
  EXPECT_EQ(output_names(made.graph), (std::vector<std::string>{"loss", "d.x", "d.student"}));
  // x reaches the loss through the student and through the frozen teacher: only the first counts.
  const auto values = ops::interpret(
      made.graph,
      [](const Node& node) {
        return node.label == "student" ? std::vector<double>{5, 6, 7} : std::vector<double>{1, 2, 3};
      },
      false);
  EXPECT_EQ(values[1], (std::vector<double>{1 * 5, 2 * 6, 3 * 7}));
}

TEST(Gradient, nodes_carry_their_forward_nodes_path_and_name) {
  Graph graph = parsed(R"(graph @two(%x: f32[4]) -> f32[] {
  %a = square %x : f32[4] @down_blocks.0
  %b = silu %a : f32[4] @mid_block
  %y = reduce_sum %b : f32[] @up_blocks.0
  return %y
})");
  const size_t forward = graph.nodes().size();
  const std::vector<Value> wrt{graph.find_input("x")};
  const std::vector<Value> gradient = autodiff::append_gradient(graph, graph.outputs()[0].value, wrt);
  ASSERT_TRUE(gradient[0].present());
  EXPECT_EQ(graph.def(gradient[0]).path, "down_blocks.0");
  for (size_t i = forward; i < graph.nodes().size(); ++i) {
    const Node& node = graph.node(i);
    ASSERT_TRUE(node.grad_of.present());
    EXPECT_EQ(node.path, graph.def(node.grad_of).path);
    EXPECT_FALSE(node.frozen);
  }
  for (size_t i = 0; i < forward; ++i) EXPECT_FALSE(graph.node(i).grad_of.present()) << "a forward node was touched";
}

TEST(Gradient, leaves_composites_of_the_forward_pass_whole) {
  Graph graph = parsed(R"(graph @attend(%x: f32[1,4,6]) -> f32[] {
  %a = attention %x, %x, %x {heads=2} : f32[1,4,6]
  %y = reduce_sum %a : f32[]
  return %y
})");
  const std::vector<Value> wrt{graph.find_input("x")};
  graph.add_output("d.x", autodiff::append_gradient(graph, graph.outputs()[0].value, wrt)[0]);
  size_t whole = 0;
  for (const Node& node : graph.nodes()) whole += node.kind == NodeKind::kOp && node.is(ops::attention_def);
  EXPECT_EQ(whole, 1u);
  for (const Node& node : graph.nodes())
    if (node.grad_of.present()) {
      const Node& forward = graph.def(node.grad_of);
      EXPECT_FALSE(forward.grad_of.present()) << "names a node that only the backward pass has";
    }
}

TEST(CheckGradient, holds_what_no_cotangent_passes) {
  const Graph graph = parsed(R"(graph @pair(%x: f32[3]) -> f32[3] {
  %t = param "teacher" : f32[3] !frozen
  %s = param "student" : f32[3]
  %a = mul %x, %t : f32[3] !frozen
  %b = mul %x, %s : f32[3]
  %c = stop_gradient %b : f32[3]
  %d = mul %b, %c : f32[3]
  %y = sub %d, %a : f32[3]
  return %y
})");
  const autodiff::GradientGraph made = autodiff::with_gradients(graph);
  const auto rows = autodiff::check_gradient(made, autodiff::random_source(made.graph, 1));
  ASSERT_EQ(rows.size(), 2u);
  for (const autodiff::GradientRow& row : rows) EXPECT_LE(row.worst, 1e-7) << row.name;
}

TEST(CheckGradient, finds_a_gradient_that_is_wrong_in_one_element) {
  const Graph graph = parsed(R"(graph @f(%x: f32[3,40]) -> f32[] {
  %s = silu %x : f32[3,40]
  %y = reduce_mean %s : f32[]
  return %y
})");
  autodiff::GradientGraph made = autodiff::with_gradients(graph);
  Builder b(made.graph);
  std::vector<double> off(120, 0.0);
  off[77] = 1e-3;
  std::vector<Output> outputs = made.graph.outputs();
  outputs[1].value = b.op(ops::add_def, {outputs[1].value, b.constant(f32({3, 40}), off)});
  made.graph.set_outputs(outputs);
  EXPECT_GT(autodiff::check_gradient(made, autodiff::random_source(made.graph, 1))[0].worst, 1e-4);
}

TEST(CheckGradient, says_when_numbers_are_not_finite) {
  const Graph graph = parsed(R"(graph @f(%x: f32[8]) -> f32[8] {
  %y = sqrt %x : f32[8]
  return %y
})");
  const autodiff::GradientGraph made = autodiff::with_gradients(graph);
  EXPECT_FALSE(autodiff::check_gradient(made, autodiff::random_source(made.graph, 1))[0].finite);
  const auto rows = autodiff::check_gradient(made, autodiff::random_source(made.graph, 1, true));
  EXPECT_TRUE(rows[0].finite);
  EXPECT_LE(rows[0].worst, 1e-6);
}

TEST(Gradient, of_narrow_types_has_their_type) {
  for (const char* dtype : {"f16", "bf16", "f64"}) {
    const std::string t = dtype;
    const Graph graph =
        parsed("graph @narrow(%x: " + t + "[2,4,4,8], %q: " + t + "[2,5,8], %g: f32[3]) -> " + t + "[2,4,4,8] {\n" +
               "  %w = param \"w\" : " + t + "[8]\n  %c = param \"c\" : " + t + "[8,8,3,3]\n" +
               "  %n = group_norm_silu %x, %w, %w {groups=2} : " + t + "[2,4,4,8]\n" +
               "  %v = conv2d %n, %c {padding=[1,1,1,1]} : " + t + "[2,4,4,8]\n" + "  %f = reshape %v {shape=[2,16,8]} : " + t +
               "[2,16,8]\n" + "  %a = attention %f, %q, %q {heads=2} : " + t + "[2,16,8]\n" +
               "  %l = layer_norm %a, %w, %w : " + t + "[2,16,8]\n" + "  %h = gelu %l : " + t + "[2,16,8]\n" +
               "  %m = maximum %h, %a : " + t + "[2,16,8]\n" + "  %r = reshape %m {shape=[2,4,4,8]} : " + t + "[2,4,4,8]\n" +
               "  %z = gate %x, %r, %g {index=1} : " + t + "[2,4,4,8]\n  return %z\n}\n");
    const autodiff::GradientGraph made = autodiff::with_gradients(graph);
    verify(made.graph);
    EXPECT_EQ(made.wrt.size(), 5u);
    for (const autodiff::GradientRow& row : autodiff::check_gradient(made, autodiff::random_source(made.graph, 2))) {
      EXPECT_FALSE(row.absent) << row.name;
      // The casts between f32 and f64 round in the reference; differences see that.
      EXPECT_LE(row.worst, 1e-2) << dtype << " " << row.name;
    }
  }
}

TEST(Gradient, of_what_has_none_is_refused_with_op_and_path) {
  Graph graph = parsed(R"(graph @time(%t: f32[2]) -> f32[] {
  %e = timestep_embedding %t {dim=4} : f32[2,4] @time_proj
  %y = reduce_sum %e : f32[]
  return %y
})");
  const auto message = [&](Value of, std::vector<Value> wrt) -> std::string {
    try {
      autodiff::append_gradient(graph, of, wrt);
    } catch (const VerifyError& error) {
      return error.what();
    }
    return "accepted";
  };
  const Value t = graph.find_input("t"), loss = graph.outputs()[0].value;
  EXPECT_NE(message(loss, {t}).find("[timestep_embedding] has no gradient: timesteps and sizes are given"), std::string::npos);
  EXPECT_NE(message(loss, {t}).find("time_proj"), std::string::npos);
  EXPECT_EQ(message(t, {t}), "[gradient] %t is f32[2], needs to be a floating-point scalar");
  EXPECT_EQ(message(loss, {}), "accepted");
}

TEST(Gradient, of_a_graph_without_a_floating_point_output_is_refused) {
  const Graph graph = parsed(R"(graph @whole(%x: f32[2]) -> i64[2] {
  %y = cast %x {to="i64"} : i64[2]
  return %y
})");
  EXPECT_THROW(autodiff::with_gradients(graph), VerifyError);
}

TEST(Gradient, graphs_of_random_graphs_are_sound_text_and_keep_their_meaning_under_all_passes) {
  constexpr int kGraphs = 40;
  for (uint64_t seed = 1; seed <= kGraphs; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Graph graph = autodiff::with_gradients(testing::random_graph(seed, 30)).graph;
    ASSERT_NO_THROW(verify(graph));
    ASSERT_EQ(structural_difference(graph, parse(print(graph), ops::registry())), "");
    const Graph optimised = passes::optimise(graph, {.context = {.recompute_above_bytes = 0}, .verify = true});
    const auto values = [&](const Graph& g) {
      return ops::interpret(
          g, [&](const Node& node) { return testing::random_values(node, g.type(node.results[0]), seed); }, false);
    };
    const auto before = values(graph), after = values(optimised);
    ASSERT_EQ(before.size(), after.size());
    for (size_t i = 0; i < before.size(); ++i) {
      double scale = 1, worst = 0;
      for (size_t k = 0; k < before[i].size(); ++k) {
        ASSERT_TRUE(std::isfinite(before[i][k])) << graph.outputs()[i].name;
        scale = std::max(scale, std::fabs(before[i][k]));
        worst = std::max(worst, std::fabs(before[i][k] - after[i][k]));
      }
      EXPECT_LE(worst, 1e-11 * scale) << graph.outputs()[i].name;
    }
  }
}

}  // namespace
}  // namespace espalier
