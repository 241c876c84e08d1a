#include "core/ops/interpret.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "core/base/error.h"
#include "core/ir/builder.h"
#include "core/ops/activation.h"
#include "core/ops/cast.h"
#include "core/ops/elementwise_binary.h"
#include "core/ops/elementwise_unary.h"
#include "core/ops/movement.h"
#include "core/ops/rounding.h"

namespace espalier {
namespace {

using Data = std::vector<double>;

ops::InterpretSource source_of(std::map<std::string, Data> by_label) {
  return [by_label = std::move(by_label)](const Node& node) { return by_label.at(node.label); };
}

TEST(Interpret, returns_outputs_in_order_and_may_repeat_one) {
  Graph graph;
  Builder b(graph);
  const Value x = b.input("x", f32({2})), w = b.param("w", f32({2}));
  const Value sum = ops::add(b, x, w);
  b.output("twice", ops::mul(b, sum, b.scalar(2)));
  b.output("sum", sum);
  b.output("x", x);
  b.output("again", sum);
  EXPECT_EQ(ops::interpret(graph, source_of({{"x", {1, 2}}, {"w", {10, 20}}}), false),
            (std::vector<Data>{{22, 44}, {11, 22}, {1, 2}, {11, 22}}));
}

TEST(Interpret, asks_only_for_what_outputs_need_and_once) {
  Graph graph;
  Builder b(graph);
  const Value x = b.input("x", f32({2})), unused = b.param("unused", f32({2}));
  ops::mul(b, unused, unused);  // no output reads it
  b.output("y", ops::mul(b, x, x));
  int asked = 0;
  const auto source = [&](const Node& node) {
    EXPECT_EQ(node.label, "x");
    ++asked;
    return Data{3, 4};
  };
  EXPECT_EQ(ops::interpret(graph, source, false)[0], (Data{9, 16}));
  EXPECT_EQ(asked, 1);
}

TEST(Interpret, reshape_keeps_a_value_that_others_still_read) {
  Graph graph;
  Builder b(graph);
  const Value doubled = ops::mul(b, b.input("x", f32({2, 2})), b.scalar(2));
  const Value flat = ops::reshape(b, doubled, {4});
  b.output("negated", ops::neg(b, doubled));
  b.output("flat", ops::reshape(b, flat, {1, 4}));
  EXPECT_EQ(ops::interpret(graph, source_of({{"x", {1, 2, 3, 4}}}), false), (std::vector<Data>{{-2, -4, -6, -8}, {2, 4, 6, 8}}));
}

TEST(Interpret, rounds_each_value_to_its_dtype_only_when_asked) {
  Graph graph;
  Builder b(graph);
  const Value x = b.input("x", f32({1}));
  b.output("third", ops::div(b, x, b.scalar(3)));
  b.output("bf16", ops::cast(b, ops::div(b, x, b.scalar(3)), DType::kBF16));
  const auto source = source_of({{"x", {1}}});
  EXPECT_EQ(ops::interpret(graph, source, false)[0][0], 1.0 / 3);
  EXPECT_EQ(ops::interpret(graph, source, true)[0][0], static_cast<double>(1.0f / 3.0f));
  EXPECT_EQ(ops::interpret(graph, source, true)[1][0], 0.333984375);
}

TEST(Interpret, refuses_a_source_of_another_size) {
  Graph graph;
  Builder b(graph);
  b.output("y", ops::neg(b, b.input("x", f32({3}))));
  EXPECT_THROW(ops::interpret(graph, source_of({{"x", {1, 2}}}), false), InternalError);
}

TEST(RoundTo, halves_round_to_nearest_even_with_subnormals_and_infinity) {
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(ops::round_to(DType::kF16, 2049), 2048);
  EXPECT_EQ(ops::round_to(DType::kF16, 2051), 2052);
  EXPECT_EQ(ops::round_to(DType::kF16, 65519.9), 65504);
  EXPECT_EQ(ops::round_to(DType::kF16, 65520), inf);
  EXPECT_EQ(ops::round_to(DType::kF16, -1e9), -inf);
  EXPECT_EQ(ops::round_to(DType::kF16, 0x1p-24), 0x1p-24);
  EXPECT_EQ(ops::round_to(DType::kF16, 0x1p-25), 0);
  EXPECT_EQ(ops::round_to(DType::kF16, 0x1.8p-24), 0x1p-23);
  EXPECT_EQ(ops::round_to(DType::kBF16, 257), 256);
  EXPECT_EQ(ops::round_to(DType::kBF16, 259), 260);
  EXPECT_EQ(ops::round_to(DType::kBF16, 0x1p-133), 0x1p-133);
  EXPECT_EQ(ops::round_to(DType::kBF16, 3.4e38), inf);
  EXPECT_TRUE(std::signbit(ops::round_to(DType::kBF16, -0.0)));
  EXPECT_TRUE(std::isnan(ops::round_to(DType::kF16, std::nan(""))));
  EXPECT_EQ(ops::round_to(DType::kI32, -2.7), -2);
  EXPECT_EQ(ops::round_to(DType::kBool, 0.5), 1);
  EXPECT_EQ(ops::round_to(DType::kF64, 0.1), 0.1);
}

}  // namespace
}  // namespace espalier
