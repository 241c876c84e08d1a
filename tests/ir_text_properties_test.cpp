// Text and structure of random graphs: what is printed reads back as the same graph, and prints the same bytes again.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/base/error.h"
#include "core/ir/hash.h"
#include "core/ir/parse.h"
#include "core/ir/print.h"
#include "core/ir/verify.h"
#include "core/ir/walk.h"
#include "core/ops/elementwise_binary.h"
#include "core/ops/elementwise_unary.h"
#include "core/ops/registry.h"
#include "tests/support/random_graph.h"

namespace espalier {
namespace {

using ::testing::HasSubstr;

constexpr int kGraphs = 200;

TEST(Print, of_a_random_graph_parses_to_the_same_graph) {
  for (uint64_t seed = 1; seed <= kGraphs; ++seed) {
    const Graph graph = testing::random_graph(seed, 30);
    verify(graph);
    const std::string text = print(graph);
    const Graph read = parse(text, ops::registry());
    ASSERT_EQ(structural_difference(graph, read), "") << "seed " << seed << "\n" << text;
    ASSERT_EQ(structural_hash(graph), structural_hash(read));
    ASSERT_EQ(print(read), text) << "seed " << seed;
  }
}

TEST(Print, names_what_the_parser_accepts_whatever_a_builder_chose) {
  Graph graph;
  Builder b(graph);
  const Value x = b.input("hidden states \"q\"", f32({2}));
  const Value y = ops::neg(b, x);
  graph.set_value_name(y, "a b");
  const Value z = ops::neg(b, y);
  graph.set_value_name(z, "a_b");
  b.output("", ops::neg(b, z));
  const std::string text = print(graph);
  EXPECT_THAT(text, HasSubstr("%hidden_states__q_ \"hidden states \\\"q\\\"\": f32[2]"));
  EXPECT_THAT(text, HasSubstr("%a_b_1 = neg %a_b"));
  EXPECT_EQ(structural_difference(graph, parse(text, ops::registry())), "");
}

TEST(Print, of_every_fold_depth_has_the_same_outputs) {
  const Graph graph = testing::random_graph(3, 40);
  const std::string whole = print(graph);
  const std::string last = whole.substr(whole.rfind("  return"));
  size_t lines_before = std::string::npos;
  for (int depth : {3, 2, 1}) {
    const std::string folded = print(graph, {.fold_scopes = depth});
    const auto lines = static_cast<size_t>(std::count(folded.begin(), folded.end(), '\n'));
    EXPECT_EQ(folded.substr(folded.rfind("  return")), last);
    EXPECT_LE(lines, lines_before);
    EXPECT_LT(lines, static_cast<size_t>(std::count(whole.begin(), whole.end(), '\n')));
    lines_before = lines;
  }
}

TEST(Parse, reports_at_most_fifty_faults) {
  std::string text = "graph @many(%x: f32[2]) -> f32[2] {\n";
  for (int i = 0; i < 200; ++i) text += "  %y" + std::to_string(i) + " = nonsense %x : f32[2]\n";
  try {
    parse(text + "  return %x\n}\n", ops::registry(), "many.eir");
    FAIL() << "it was accepted";
  } catch (const UserError& error) {
    const std::string what = error.what();
    EXPECT_EQ(std::count(what.begin(), what.end(), '\n'), 49);
    EXPECT_EQ(what.substr(0, 15), "many.eir:2:9: u");
  }
}

TEST(Parse, wants_exactly_one_graph_where_one_is_asked_for) {
  EXPECT_THROW(parse("", ops::registry()), UserError);
  EXPECT_THROW(parse("graph @a() -> () {\n return\n}\ngraph @b() -> () {\n return\n}", ops::registry()), UserError);
  EXPECT_TRUE(parse_all("// nothing\n", ops::registry()).empty());
}

// Every prefix and every text with a byte cut out or replaced is either read or refused as the user's fault.
TEST(Parse, refuses_or_reads_damaged_text_and_never_anything_else) {
  const std::string text = print(testing::random_graph(5, 12));
  const auto attempt = [](const std::string& damaged) {
    try {
      for (const Graph& graph : parse_all(damaged, ops::registry()))
        EXPECT_EQ(faults(graph), std::vector<std::string>{}) << damaged;
    } catch (const UserError&) {
    }
  };
  for (size_t i = 0; i < text.size(); ++i) {
    attempt(text.substr(0, i));
    attempt(text.substr(0, i) + text.substr(i + 1));
    for (char c : {'%', '"', '[', '9', '\n', '\0', '\xff'}) attempt(text.substr(0, i) + c + text.substr(i + 1));
  }
}

TEST(StructuralHash, tells_graphs_apart_that_differ_in_anything_but_names) {
  const std::string base =
      "graph @g(%x: f32[2], %z: f32[2]) -> f32[2] {\n  %w = param \"w\" : f32[2]\n  %c = constant [1, 2] : f32[2]\n"
      "  %a = mul %x, %w : f32[2] @mid_block\n  %y = add %a, %c : f32[2]\n  return %y\n}\n";
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = base;
    text.replace(text.find(from), from.size(), to);
    return parse(text, ops::registry());
  };
  const Graph graph = parse(base, ops::registry());
  EXPECT_EQ(structural_hash(graph), structural_hash(with("@g", "@other")));
  EXPECT_EQ(structural_hash(graph),
            structural_hash(parse("graph @g(%x: f32[2], %z: f32[2]) -> f32[2] {\n  %1 = param \"w\" : f32[2]\n"
                                  "  %2 = constant [1, 2] : f32[2]\n  %3 = mul %x, %1 : f32[2] @mid_block\n"
                                  "  %4 = add %3, %2 : f32[2]\n  return %4\n}",
                                  ops::registry())));
  std::set<uint64_t> seen{structural_hash(graph)};
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{{"mul %x, %w", "mul %w, %x"},
                                                                                 {"mul %x", "mul %z"},
                                                                                 {"mul", "sub"},
                                                                                 {"[1, 2]", "[1, 3]"},
                                                                                 {"[1, 2]", "[2, 1]"},
                                                                                 {"\"w\"", "\"v\""},
                                                                                 {"@mid_block", "@mid_block.0"},
                                                                                 {"@mid_block", "@mid_block !frozen"},
                                                                                 {"@mid_block", "@mid_block !recompute"},
                                                                                 {"@mid_block", "@mid_block !grad=%x"},
                                                                                 {"-> f32[2]", "-> (y: f32[2])"},
                                                                                 {"return %y", "return %a"},
                                                                                 {"%z: ", "%z \"q\": "}}) {
    const Graph other = with(from, to);
    EXPECT_TRUE(seen.insert(structural_hash(other)).second) << from << " → " << to;
    EXPECT_NE(structural_difference(graph, other), "") << from << " → " << to;
  }
  const Graph renamed = with("\"w\"", "\"v\"");
  EXPECT_EQ(structural_hash(graph, {.param_names = false}), structural_hash(renamed, {.param_names = false}));
  EXPECT_TRUE(structurally_equal(graph, renamed, {.param_names = false}));
  const Graph moved = with("@mid_block", "@mid_block.0 !frozen");
  EXPECT_EQ(structural_hash(graph, {.paths = false}), structural_hash(moved, {.paths = false}));
  EXPECT_TRUE(structurally_equal(graph, moved, {.paths = false}));
}

TEST(Walk, counts_a_module_and_its_index_once) {
  EXPECT_EQ(path_depth(""), 0);
  EXPECT_EQ(path_depth("mid_block"), 1);
  EXPECT_EQ(path_depth("down_blocks.1.attentions.0.transformer_blocks.12.attn1.to_out.0"), 5);
  EXPECT_EQ(path_prefix("down_blocks.1.resnets.0.conv1", 2), "down_blocks.1.resnets.0");
  EXPECT_EQ(path_prefix("down_blocks.1.resnets.0.conv1", 9), "down_blocks.1.resnets.0.conv1");
  EXPECT_TRUE(is_inside("a.1.b", "a.1"));
  EXPECT_TRUE(is_inside("a.1", "a.1"));
  EXPECT_FALSE(is_inside("a.10", "a.1"));
}

}  // namespace
}  // namespace espalier
