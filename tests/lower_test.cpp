// Lowering: kernels are asked once per distinct call, values that live together never share bytes, views are free.

#include "core/lower/lower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/ir/builder.h"
#include "core/lower/arena.h"
#include "core/ops/activation.h"
#include "core/ops/elementwise_binary.h"
#include "core/ops/linear.h"
#include "core/ops/movement.h"
#include "core/ops/registry.h"

namespace espalier::lower {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Accepts the ops it is told to; counts the questions. Nothing of it runs.
class FakeBackend final : public Backend {
 public:
  explicit FakeBackend(std::map<std::string, uint64_t> workspace_by_op) : workspace_(std::move(workspace_by_op)) {}
  std::string name() const override { return "fake"; }
  std::string describe() const override { return "a test"; }
  bool host_accessible() const override { return true; }
  KernelChoice support(const OpCall& call, const std::string&, const std::vector<bool>& is_param) override {
    ++asked;
    params_seen.push_back(is_param);
    const auto found = workspace_.find(std::string(*call.op->name));
    if (found == workspace_.end()) return {.refusals = {{"fast", "not this op"}, {"slow", "nor here"}}};
    return {true, "fast", found->second, {}};
  }
  std::unique_ptr<DeviceMemory> allocate(uint64_t) override { return nullptr; }
  std::shared_ptr<DeviceParam> make_param(const HostParam&) override { return nullptr; }
  std::unique_ptr<Executable> compile(const CallList&, size_t, size_t, bool) override { return nullptr; }
  int asked = 0;
  std::vector<std::vector<bool>> params_seen;

 private:
  std::map<std::string, uint64_t> workspace_;
};

std::shared_ptr<const Graph> share(Graph graph) { return std::make_shared<const Graph>(std::move(graph)); }

CallList lowered(const Graph& graph, Backend* backend = nullptr) { return lower(share(graph), {.backend = backend}); }

TEST(Arena, never_overlaps_lifetimes_that_share_a_call) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::vector<Lifetime> lives;
    uint64_t counter = 0;
    const auto draw = [&](uint64_t below) { return rng::bits(seed, 1, counter++) % below; };
    const size_t calls = 1 + draw(40), count = draw(80);
    uint64_t sum = 0;
    for (size_t i = 0; i < count; ++i) {
      const size_t first = draw(calls), last = first + draw(calls - first);
      lives.push_back({draw(5) == 0 ? 0 : 1 + draw(3000), first, last});
      sum += (lives.back().bytes + 63) / 64 * 64;
    }
    const Arena arena = plan_arena(lives, 64);
    EXPECT_LE(arena.bytes, sum);
    const std::vector<uint64_t> live = live_bytes(lives, calls, 64);
    EXPECT_GE(arena.bytes, *std::max_element(live.begin(), live.end()));
    for (size_t a = 0; a < count; ++a) {
      EXPECT_EQ(arena.offsets[a] % 64, 0u);
      EXPECT_LE(arena.offsets[a] + lives[a].bytes, arena.bytes);
      for (size_t b = a + 1; b < count; ++b) {
        const bool in_time = lives[a].first <= lives[b].last && lives[b].first <= lives[a].last;
        const bool in_space =
            arena.offsets[a] < arena.offsets[b] + lives[b].bytes && arena.offsets[b] < arena.offsets[a] + lives[a].bytes;
        EXPECT_FALSE(in_time && in_space && lives[a].bytes > 0 && lives[b].bytes > 0) << "seed " << seed;
      }
    }
  }
}

TEST(Arena, gives_the_space_of_a_dead_value_to_the_next) {
  const Arena arena = plan_arena(std::vector<Lifetime>{{640, 0, 1}, {640, 1, 2}, {640, 2, 3}, {64, 3, 3}}, 64);
  EXPECT_EQ(arena.bytes, 1280u);
  EXPECT_EQ(arena.offsets[0], arena.offsets[2]);
}

TEST(Lower, writes_outputs_in_place_and_shares_the_arena) {
  Graph graph;
  Builder b(graph);
  const Value x = b.input("x", f32({4, 16}));
  Value y = x;
  for (int i = 0; i < 5; ++i) y = ops::silu(b, y);
  b.output("y", y);
  const CallList list = lowered(graph);
  ASSERT_EQ(list.calls.size(), 5u);
  EXPECT_EQ(list.calls[0].inputs[0], (Place{Space::kInput, 0}));
  EXPECT_EQ(list.calls[4].results[0], (Place{Space::kOutput, 0}));
  EXPECT_EQ(list.arena_bytes, 2u * 4 * 16 * 4) << "a chain needs two buffers";
  EXPECT_EQ(list.peak_live_bytes(), list.arena_bytes);
  EXPECT_TRUE(list.copies.empty());
}

TEST(Lower, a_reshape_is_no_call_and_lies_where_its_operand_lies) {
  Graph graph;
  Builder b(graph);
  const Value x = b.input("x", f32({4, 16}));
  const Value a = ops::silu(b, x);
  const Value view = ops::reshape(b, ops::reshape(b, a, {64}), {8, 8});
  const Value other = ops::silu(b, b.input("z", f32({8, 8})));
  b.output("y", ops::add(b, view, other));
  const CallList list = lowered(graph);
  ASSERT_EQ(list.calls.size(), 3u);
  EXPECT_EQ(list.calls[2].inputs[0], list.calls[0].results[0]);
  EXPECT_NE(list.calls[2].inputs[0], list.calls[1].results[0]) << "the view keeps its operand's memory alive";
}

TEST(Lower, a_view_of_an_output_is_written_there_and_outputs_that_nobody_makes_are_copied) {
  Graph graph;
  Builder b(graph);
  const Value x = b.input("x", f32({4, 16}));
  const Value w = b.param("w", f32({2, 2}));
  const Value y = ops::reshape(b, ops::silu(b, x), {64});
  b.output("y", y);
  b.output("again", y);
  b.output("x", x);
  b.output("w", w);
  const CallList list = lowered(graph);
  EXPECT_EQ(list.calls[0].results[0], (Place{Space::kOutput, 0}));
  ASSERT_EQ(list.copies.size(), 3u);
  EXPECT_EQ(list.copies[0].output, 1u);
  EXPECT_EQ(list.copies[0].from, (Place{Space::kOutput, 0}));
  EXPECT_EQ(list.copies[1].from, (Place{Space::kInput, 0}));
  EXPECT_EQ(list.copies[2].from, (Place{Space::kParam, 0}));
  EXPECT_EQ(list.arena_bytes, 0u);
}

TEST(Lower, asks_a_backend_once_for_equal_calls_and_says_what_is_a_parameter) {
  Graph graph;
  Builder b(graph);
  Value x = b.input("x", f32({4, 16}));
  for (int i = 0; i < 6; ++i) {
    const Value w = b.param("w" + std::to_string(i), f32({16, 16}));
    x = ops::linear(b, x, ops::reshape(b, w, {16, 16}), {});
  }
  b.output("y", x);
  FakeBackend backend({{"linear", 100}});
  const CallList list = lowered(graph, &backend);
  EXPECT_EQ(backend.asked, 1);
  EXPECT_EQ(backend.params_seen[0], (std::vector<bool>{false, true, false}));
  ASSERT_EQ(list.calls.size(), 6u);
  for (const Call& call : list.calls) {
    EXPECT_TRUE(call.on_backend);
    EXPECT_EQ(call.kernel, "fast");
    EXPECT_EQ(call.param_mask, 2u);
    EXPECT_EQ(call.inputs.size(), 3u) << "an absent operand has a place";
    EXPECT_EQ(call.inputs[2].space, Space::kNone);
    EXPECT_EQ(call.workspace_bytes, 100u);
    for (const Place& place : {call.inputs[0], call.results[0]}) {
      if (place.space != Space::kArena) continue;
      EXPECT_TRUE(call.workspace_offset + 100 <= place.at || place.at + 256 <= call.workspace_offset)
          << "workspace over an operand";
    }
  }
}

TEST(Lower, other_attributes_are_another_question) {
  Graph graph;
  Builder b(graph);
  const Value x = b.input("x", f32({4, 16}));
  b.output("a", ops::slice(b, x, 1, 0, 8));
  b.output("b", ops::slice(b, x, 1, 8, 16));
  b.output("c", ops::slice(b, x, 1, 0, 8));
  FakeBackend backend({{"slice", 0}});
  lowered(graph, &backend);
  EXPECT_EQ(backend.asked, 2);
}

TEST(Lower, strict_refuses_with_every_reason_and_how_often) {
  Graph graph;
  Builder b(graph);
  const Value x = b.input("x", f32({4, 16}));
  const Scope scope(b, "mid_block.resnets.0");
  b.output("y", ops::silu(b, ops::silu(b, ops::add(b, x, x))));
  FakeBackend backend({{"add", 0}});
  const CallList list = lowered(graph, &backend);
  EXPECT_EQ(list.calls[1].kernel, "reference");
  EXPECT_EQ(list.calls[1].refusals.size(), 2u);
  try {
    lower(share(graph), {.backend = &backend, .strict = true});
    FAIL() << "strict lowering of an unsupported call";
  } catch (const UnsupportedError& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("silu f32[4,16] -> f32[4,16]: fast: not this op; slow: nor here (mid_block.resnets.0, and 1 more)"));
    EXPECT_THAT(error.what(), Not(HasSubstr("add")));
    EXPECT_EQ(error.exit_code(), 2);
  }
}

TEST(Lower, prints_calls_places_work_and_totals) {
  Graph graph;
  Builder b(graph);
  const Value x = b.input("x", f32({4, 16}));
  const Value w = b.param("w", f32({8, 16}));
  const Scope scope(b, "mid_block");
  b.output("y", ops::silu(b, ops::linear(b, x, w)));
  FakeBackend backend({{"linear", 100}});
  EXPECT_EQ(to_text(lowered(graph, &backend)),
            "   0 @0 <- linear in0 p0 - [fast] workspace @128+100 1024 flops : f32[4,8] @mid_block\n"
            "   1 out0 <- silu @0 [reference] : f32[4,8] @mid_block\n"
            "2 calls, 1024 flops, arena 256 bytes, fullest at call 0 with 256 bytes\n");
}

}  // namespace
}  // namespace espalier::lower
