// Execution: a call list gives what the graph means, on the reference, on a backend behind the C ABI, and on both.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/half.h"
#include "core/exec/border.h"
#include "core/exec/executor.h"
#include "core/exec/profile.h"
#include "core/io/memory_source.h"
#include "core/lower/lower.h"
#include "core/ops/gate.h"
#include "plugins/backend_adapter.h"
#include "plugins/registry.h"
#include "tests/support/tiny_graph.h"

namespace espalier::exec {
namespace {

using ::testing::HasSubstr;

std::vector<float> random_floats(uint64_t seed, uint64_t stream, int64_t count) {
  std::vector<float> out(static_cast<size_t>(count));
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(rng::normal(seed, stream, i) * 0.5);
  return out;
}

io::TensorSourcePtr random_weights(const Graph& graph, uint64_t seed) {
  auto source = std::make_shared<io::MemoryTensorSource>();
  uint64_t stream = 100;
  for (Value param : graph.params()) {
    const Shape& shape = graph.type(param).shape;
    source->add_f32(graph.def(param).label, shape, random_floats(seed, stream++, shape.elements()));
  }
  return source;
}

FloatTensors random_inputs(const Graph& graph, uint64_t seed) {
  FloatTensors inputs;
  uint64_t stream = 1;
  for (Value input : graph.inputs()) {
    const Shape& shape = graph.type(input).shape;
    inputs[graph.def(input).label] = {shape, random_floats(seed, stream++, shape.elements())};
  }
  return inputs;
}

/// The C backend of the zoo. `refuse_over`: linear layers wider than this are left to the reference.
std::shared_ptr<lower::Backend> tiny_backend(int64_t refuse_over = 1024) {
  static const plugins::Registry registry({.files = {std::string(ESPALIER_ZOO) + "/tiny_backend.esp.so"}});
  const plugins::Component& component = registry.find_backend("tiny");
  ErrorList errors;
  const auto params =
      plugins::resolve_params(component.params, {.sets = {"refuse-over=" + std::to_string(refuse_over)}}, component.id, errors);
  errors.throw_if_any();
  return plugins::open_backend(component, params);
}

std::shared_ptr<const Graph> share(Graph graph) { return std::make_shared<const Graph>(std::move(graph)); }

std::unique_ptr<Executor> executor_of(const std::shared_ptr<const Graph>& graph, const std::shared_ptr<lower::Backend>& backend,
                                      io::TensorSourcePtr weights, const ExecOptions& options = {}) {
  return std::make_unique<Executor>(lower::lower(graph, {.backend = backend.get()}), backend, std::move(weights), options);
}

void expect_near(const FloatTensors& got, const FloatTensors& want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size());
  for (const auto& [name, tensor] : want) {
    ASSERT_TRUE(got.contains(name)) << name;
    ASSERT_EQ(got.at(name).shape, tensor.shape);
    float largest = 0, worst = 0;
    for (size_t i = 0; i < tensor.values.size(); ++i) {
      largest = std::max(largest, std::abs(tensor.values[i]));
      worst = std::max(worst, std::abs(tensor.values[i] - got.at(name).values[i]));
    }
    EXPECT_LE(worst, 1e-5f * largest + 1e-6f) << what << ", output " << name;
  }
}

TEST(Executor, equals_the_interpreter_on_random_graphs_with_and_without_a_backend) {
  size_t partitions = 0, references = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const auto graph = share(testing::tiny_graph(seed, 2 + static_cast<int>(seed % 30)));
    const io::TensorSourcePtr weights = random_weights(*graph, seed);
    const FloatTensors inputs = random_inputs(*graph, seed);
    const FloatTensors want = run_reference(*graph, inputs, weights);
    const auto reference = executor_of(graph, nullptr, weights);
    EXPECT_EQ(reference->partitions(), 0u);
    expect_near(run_named(*reference, inputs), want, "reference, seed " + std::to_string(seed));
    const auto mixed = executor_of(graph, tiny_backend(seed % 3 == 0 ? 4 : 1024), weights);
    partitions += mixed->partitions();
    for (const lower::Call& call : mixed->list().calls) references += !call.on_backend;
    expect_near(run_named(*mixed, inputs), want, "tiny, seed " + std::to_string(seed));
    expect_near(run_named(*mixed, inputs), want, "tiny again, seed " + std::to_string(seed));
  }
  EXPECT_GT(partitions, 60u) << "the graphs must put calls on the backend";
  EXPECT_GT(references, 60u) << "and leave some to the reference";
}

TEST(Executor, reads_parameters_in_the_type_of_their_file) {
  Graph graph;
  Builder b(graph);
  const Value w = b.param("w", f32({2, 2}));
  b.output("y", ops::add(b, b.input("x", f32({2, 2})), w));
  b.output("w", w);
  auto weights = std::make_shared<io::MemoryTensorSource>();
  std::vector<std::byte> halves(8);
  const float values[4] = {0.5f, -1.25f, 3.0f, 65504.0f};
  f32_to_f16(values, halves.data(), 4);
  weights->add("w", {DType::kF16, {2, 2}}, halves);
  const auto executor = executor_of(share(graph), nullptr, weights);
  const FloatTensors got = run_named(*executor, {{"x", {{2, 2}, {1, 1, 1, 1}}}});
  EXPECT_THAT(got.at("y").values, ::testing::ElementsAre(1.5f, -0.25f, 4.0f, 65505.0f));
  EXPECT_THAT(got.at("w").values, ::testing::ElementsAre(0.5f, -1.25f, 3.0f, 65504.0f));
}

// Counts how often the executor says that pages are not needed soon.
class CountingSource final : public io::TensorSource {
 public:
  explicit CountingSource(io::TensorSourcePtr source) : source_(std::move(source)) {}
  const std::vector<std::string>& names() const override { return source_->names(); }
  bool contains(std::string_view name) const override { return source_->contains(name); }
  io::TensorRef get(std::string_view name) const override { return source_->get(name); }
  void drop_pages(std::string_view) const override { ++drops; }
  std::string describe() const override { return "counting"; }
  mutable int drops = 0;

 private:
  io::TensorSourcePtr source_;
};

TEST(Executor, drops_pages_behind_each_use_only_when_mapped) {
  Graph graph;
  Builder b(graph);
  const Value x = b.input("x", f32({4, 8}));
  const Value y = ops::linear(b, x, b.param("w", f32({8, 8})));
  b.output("y", ops::add(b, y, b.param("b", f32({8}))));  // broadcasts, so the reference runs it
  const auto shared = share(graph);
  for (const bool mapped : {false, true}) {
    const auto weights = std::make_shared<CountingSource>(random_weights(graph, 1));
    const auto executor = executor_of(shared, tiny_backend(), weights, {.mapped = mapped});
    run_named(*executor, random_inputs(graph, 1));
    EXPECT_EQ(weights->drops, mapped ? 2 : 0);
  }
}

// Two units, the second inside the third: x -> u0 -> (u1 within u2) -> y, and a tap of what u0's layer makes.
Graph gated_graph(bool tap) {
  Graph graph;
  Builder b(graph);
  const Value x = b.input("x", f32({4, 8})), gates = b.input("gates", f32({3}));
  const auto layer = [&](const char* name, Value from) { return ops::linear(b, from, b.param(name, f32({8, 8}))); };
  const Value made = layer("w0", x);
  const Value h = ops::gate(b, x, ops::silu(b, made), gates, 0);
  const Value inner_in = layer("w2", h);
  const Value inner = ops::gate(b, inner_in, layer("w1", inner_in), gates, 1);
  b.output("y", ops::gate(b, h, layer("w3", inner), gates, 2));
  if (tap) b.output("made", made);
  return graph;
}

TEST(Executor, a_zero_gate_skips_the_calls_that_make_y) {
  struct Case {
    std::vector<float> gates;
    bool tap;
    int layers;  // that run
  };
  for (const Case& c : {Case{{1, 1, 1}, false, 4}, Case{{0, 1, 1}, false, 3}, Case{{1, 0, 1}, false, 3},
                        Case{{1, 0.5f, 0}, false, 1}, Case{{0, 0, -0.0f}, false, 0}, Case{{0, 1, 1}, true, 4}})
    for (const bool on_backend : {false, true}) {
      const auto graph = share(gated_graph(c.tap));
      // A mapped executor says for each run of a layer that its weight is not needed soon.
      const auto weights = std::make_shared<CountingSource>(random_weights(*graph, 1));
      FloatTensors inputs = random_inputs(*graph, 1);
      inputs.at("gates").values = c.gates;
      const auto executor = executor_of(graph, on_backend ? tiny_backend() : nullptr, weights, {.mapped = true, .timed = true});
      expect_near(run_named(*executor, inputs), run_reference(*graph, inputs, weights), "gated");
      EXPECT_EQ(weights->drops, c.layers);
      int skipped = 0;
      for (double ms : executor->call_ms()) skipped += ms == 0;
      EXPECT_GE(skipped, 4 - c.layers);
      // The same executable with the gates open again.
      inputs.at("gates").values = {1, 1, 1};
      expect_near(run_named(*executor, inputs), run_reference(*graph, inputs, weights), "open again");
      EXPECT_EQ(weights->drops, c.layers + 4);
    }
}

TEST(Executor, lists_every_missing_and_misshaped_input_and_parameter) {
  const auto graph = share(testing::tiny_graph(3, 6));
  const auto executor = executor_of(graph, nullptr, random_weights(*graph, 3));
  try {
    run_named(*executor, {{"y", {{4, 9}, std::vector<float>(36)}}});
    FAIL() << "ran without its inputs";
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(), "[inputs] 'x' is missing, want f32[4,8]\n[inputs] 'y' has shape [4,9], want [4,12]");
  }
  Graph two;
  Builder b(two);
  b.output("y", ops::linear(b, b.input("x", f32({4, 8})), b.param("w", f32({8, 8})), b.param("bias", f32({8}))));
  auto wrong = std::make_shared<io::MemoryTensorSource>("wrong.safetensors");
  wrong->add_f32("w", {8, 9}, std::vector<float>(72));
  try {
    executor_of(share(two), nullptr, wrong);
    FAIL() << "took weights of another shape";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("tensor 'w' has shape [8,9], the graph reads [8,8]"));
    EXPECT_THAT(error.what(), HasSubstr("'bias'"));
  }
  EXPECT_THROW(executor_of(share(two), nullptr, nullptr), UserError);
}

TEST(Profile, accounts_for_every_call_by_op_kernel_and_path) {
  const auto graph = share(testing::tiny_graph(5, 20));
  const auto executor = executor_of(graph, tiny_backend(), random_weights(*graph, 5), {.timed = true});
  run_named(*executor, random_inputs(*graph, 5));
  const std::vector<double>& ms = executor->call_ms();
  ASSERT_EQ(ms.size(), executor->list().calls.size());
  for (double t : ms) EXPECT_GE(t, 0);
  for (const ProfileBy by : {ProfileBy::kOp, ProfileBy::kKernel, ProfileBy::kPath}) {
    const std::string table = profile_table(executor->list(), ms, by);
    EXPECT_THAT(table, ::testing::ContainsRegex("total +" + std::to_string(ms.size()) + " ")) << table;
  }
  EXPECT_THAT(profile_table(executor->list(), ms, ProfileBy::kKernel), HasSubstr("tiny_c linear"));
  EXPECT_THAT(profile_table(executor->list(), ms, ProfileBy::kPath), HasSubstr("(outside the blocks)"));
}

TEST(Profile, trace_is_json_with_one_event_per_call) {
  Graph graph;
  Builder b(graph);
  const Scope scope(b, "mid_block.resnets.0");
  b.output("y", ops::silu(b, ops::silu(b, b.input("x", f32({4, 8})))));
  const lower::CallList list = lower::lower(share(graph), {});
  const auto trace = nlohmann::json::parse(chrome_trace(list, std::vector<double>{1.5, 2.0}));
  int calls = 0;
  for (const auto& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X") continue;
    EXPECT_EQ(event.at("name"), "silu");
    EXPECT_EQ(event.at("args").at("path"), "mid_block.resnets.0");
    EXPECT_EQ(event.at("ts").get<double>(), calls == 0 ? 0.0 : 1500.0);
    EXPECT_EQ(event.at("dur").get<double>(), calls == 0 ? 1500.0 : 2000.0);
    ++calls;
  }
  EXPECT_EQ(calls, 2);
}

TEST(Border, images_turn_around_and_back) {
  const FloatTensor nchw{{1, 2, 1, 3}, {1, 2, 3, 10, 20, 30}};
  const FloatTensor nhwc = nchw_to_nhwc(nchw);
  EXPECT_EQ(nhwc.shape, (Shape{1, 1, 3, 2}));
  EXPECT_THAT(nhwc.values, ::testing::ElementsAre(1, 10, 2, 20, 3, 30));
  const FloatTensor image{{2, 3, 4, 5}, random_floats(1, 1, 120)};
  const FloatTensor back = nhwc_to_nchw(nchw_to_nhwc(image));
  EXPECT_EQ(back.shape, image.shape);
  EXPECT_EQ(back.values, image.values);
  const FloatTensors rest = to_files({{"text", {{2, 3, 4}, random_floats(1, 2, 24)}}});
  EXPECT_EQ(rest.at("text").shape, (Shape{2, 3, 4}));
}

}  // namespace
}  // namespace espalier::exec
