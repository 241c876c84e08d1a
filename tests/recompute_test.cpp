// What recompute knows before lowering is what lowering says, and a graph that computes units twice gives the same bits.

#include "core/passes/recompute.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/autodiff/check_gradient.h"
#include "core/ir/hash.h"
#include "core/ir/print.h"
#include "core/ir/verify.h"
#include "core/lower/lower.h"
#include "core/ops/interpret.h"
#include "core/passes/liveness.h"
#include "core/passes/pipeline.h"
#include "tests/support/random_graph.h"
#include "tests/support/tiny_graph.h"

namespace espalier::passes {
namespace {

constexpr int kGraphs = 60;
constexpr int kSteps = 40;

/// A random graph in blocks of a few ops one after another, with the gradients of its inputs and parameters.
Graph training_graph(uint64_t seed) {
  Graph graph = testing::random_graph(seed, kSteps);
  const size_t nodes_of_block = 4 + seed % 9;
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    Node& node = graph.node(i);
    if (node.kind != NodeKind::kOp) continue;
    node.path = "down_blocks.0.resnets." + std::to_string(i / nodes_of_block);
    node.frozen = node.recompute = false;
    node.grad_of = {};
  }
  return run_passes(autodiff::with_gradients(graph).graph, find_passes(std::vector<std::string>{"cse", "dce"}));
}

lower::CallList lowered(const Graph& graph) { return lower::lower(std::make_shared<const Graph>(graph), {}); }

uint64_t peak_of(const Graph& graph) { return liveness(graph, in_order(graph)).peak_bytes(); }

Graph within(const Graph& graph, uint64_t target) { return recompute(graph, {.recompute_above_bytes = target}); }

TEST(Liveness, is_what_lowering_says_at_each_call) {
  for (uint64_t seed = 1; seed <= kGraphs; ++seed) {
    const Graph training = training_graph(seed);
    for (const Graph& graph : {testing::tiny_graph(seed, kSteps), training, within(training, 0)}) {
      const lower::CallList list = lowered(graph);
      const Liveness live = liveness(graph, in_order(graph));
      ASSERT_EQ(live.peak_bytes(), list.peak_live_bytes()) << "seed " << seed;
      for (size_t c = 0; c < list.calls.size(); ++c) ASSERT_EQ(live.bytes[list.calls[c].node], list.live_bytes[c]);
    }
  }
}

TEST(Liveness, counts_the_scratch_of_a_call) {
  const Graph graph = testing::tiny_graph(3, kSteps);
  const Schedule order = in_order(graph);
  const Liveness without = liveness(graph, order);
  std::vector<uint64_t> scratch(graph.nodes().size(), 0);
  scratch[order.runs[without.peak].node] = 100;
  EXPECT_EQ(liveness(graph, order, scratch).peak_bytes(), without.peak_bytes() + 128) << "in whole cache lines";
}

TEST(Recompute, of_random_training_graphs_lowers_the_peak_and_keeps_every_bit) {
  int changed = 0;
  for (uint64_t seed = 1; seed <= kGraphs; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Graph before = training_graph(seed), after = within(before, 0);
    if (structurally_equal(before, after)) continue;
    ++changed;
    ASSERT_NO_THROW(verify(after));
    EXPECT_LT(peak_of(after), peak_of(before));
    const auto values = [&](const Graph& graph) {
      return ops::interpret(
          graph, [&](const Node& node) { return testing::random_values(node, graph.type(node.results[0]), seed); }, false);
    };
    EXPECT_EQ(values(before), values(after)) << print(after);
  }
  EXPECT_GT(changed, kGraphs / 2) << "of " << kGraphs;
}

TEST(Recompute, keeps_a_target_that_can_be_kept_and_does_nothing_within_it) {
  int within_reach = 0;
  for (uint64_t seed = 1; seed <= kGraphs; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Graph before = training_graph(seed);
    const uint64_t all = peak_of(before), least = peak_of(within(before, 0)), between = (all + least) / 2;
    EXPECT_TRUE(structurally_equal(before, within(before, all)));
    EXPECT_TRUE(structurally_equal(before, recompute(before, {})));
    if (least == all) continue;
    ++within_reach;
    EXPECT_LE(peak_of(within(before, between)), between);
    EXPECT_LT(peak_of(within(before, all - 1)), all);
  }
  EXPECT_GT(within_reach, kGraphs / 2);
}

TEST(Recompute, a_second_run_changes_nothing_whether_the_target_was_reached_or_not) {
  for (uint64_t seed = 1; seed <= kGraphs; ++seed) {
    const Graph before = training_graph(seed);
    for (const uint64_t target : {uint64_t{0}, peak_of(before) - 1}) {
      const Graph once = within(before, target);
      ASSERT_EQ(structural_difference(once, within(once, target)), "") << "seed " << seed << ", target " << target;
    }
  }
}

TEST(Recompute, gives_the_same_graph_each_time) {
  const Graph graph = training_graph(7);
  EXPECT_EQ(print(within(graph, 0)), print(within(graph, 0)));
}

}  // namespace
}  // namespace espalier::passes
