// What the cuda backend's optimizers promise beyond the ops' samples: adamw8bit finds the bits that the cpu backend finds,
// adafactor agrees with its reference at the widths of UNets and where tiles are not full, NaN comes out where it does on the
// cpu, and tensors without elements are taken.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "core/ops/adafactor.h"
#include "core/ops/adamw8bit.h"
#include "tests/support/op_cases.h"

namespace espalier {
namespace {

using namespace testing;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();

Case random_case(const std::string& name, std::vector<TensorType> inputs, Attrs attrs, std::vector<Fill> fills) {
  return make_case(*ops::find(name), 0, {.inputs = std::move(inputs), .attrs = std::move(attrs), .fills = std::move(fills)});
}

Case adamw8bit_case(int64_t count, uint64_t seed, Attrs attrs = {}) {
  const TensorType of{DType::kF32, {count}}, codes{DType::kU8, {count}}, scales{DType::kF32, {ops::code_blocks(count)}};
  Case c = random_case("adamw8bit", {of, of, codes, codes, scales, scales, {DType::kF32, {4}}}, std::move(attrs),
                       std::vector<Fill>(7, Fill::kPositive));
  for (size_t i = 0; i < c.data.size(); ++i)
    c.data[i] = random_tensor(c.call.inputs[i], i < 2 ? Fill::kNormal : i < 6 ? Fill::kUnit : Fill::kPositive, seed, i);
  c.data[6] = {1e-3, 0.7f, 0.1f, 0.01f};
  c.name += " of " + std::to_string(count) + ", seed " + std::to_string(seed);
  return c;
}

/// The bits of every result; of NaN only that it is one.
void expect_same_bits(const Case& c) {
  static const auto cpu = open_backend("cpu", {"threads=1"}), cuda = open_backend("cuda", {}, kCudaDouble);
  const OneOpRun want = run_one_op(cpu, c.call, c.data), got = run_one_op(cuda, c.call, c.data);
  ASSERT_TRUE(want.call.on_backend && got.call.on_backend);
  for (size_t r = 0; r < want.outputs.size(); ++r) {
    ASSERT_EQ(want.outputs[r].size(), got.outputs[r].size());
    const DType dtype = c.call.results[r].dtype;
    if (dtype == DType::kU8) {
      EXPECT_EQ(want.outputs[r], got.outputs[r]) << c.name << ", result " << r;
      continue;
    }
    const auto a = to_doubles(dtype, want.outputs[r]), b = to_doubles(dtype, got.outputs[r]);
    for (size_t i = 0; i < a.size(); ++i)
      ASSERT_TRUE((std::isnan(a[i]) && std::isnan(b[i])) || std::bit_cast<uint64_t>(a[i]) == std::bit_cast<uint64_t>(b[i]))
          << c.name << ", result " << r << ", element " << i << ": cpu " << a[i] << ", cuda " << b[i];
  }
}

TEST(CudaOptimizers, adamw8bit_has_the_bits_of_the_cpu_backend_with_a_last_block_that_is_not_full) {
  for (const int64_t count : {1, 3, 4, 127, 255, 256, 257, 510, 1000, 2049, 4099})
    for (const uint64_t seed : {1, 2, 3}) expect_same_bits(adamw8bit_case(count, seed));
  expect_same_bits(adamw8bit_case(5000, 4, {{"beta1", 0.0}, {"beta2", 0.0}, {"eps", 0.0}, {"weight_decay", 0.3}}));
}

TEST(CudaOptimizers, adamw8bit_has_them_where_gradients_are_zero_infinite_or_nan) {
  Case c = adamw8bit_case(8 * 256 + 9, 6);
  const auto fill = [&](size_t operand, size_t block, double value) {
    for (size_t i = block * 256; i < std::min(c.data[operand].size(), (block + 1) * 256); ++i) c.data[operand][i] = value;
  };
  const auto still = [&](size_t block) { c.data[4][block] = c.data[5][block] = 0; };
  fill(1, 0, 0);                  // decays
  fill(1, 1, 0), still(1);        // nothing there at all
  fill(1, 2, kNaN);               // all of a block
  fill(1, 3, kNaN), still(3);     // and nothing else in its moments
  c.data[1][4 * 256 + 3] = kNaN;  // one of a block
  c.data[1][5 * 256 + 7] = kInfinity, c.data[1][5 * 256 + 200] = -kInfinity;
  still(6);                       // the first step
  fill(1, 7, 1e-30), still(7);    // its square underflows
  c.data[1][8 * 256 + 8] = kNaN;  // the last of the last block
  expect_same_bits(c);
  c.data[6] = {0, 0, 1, 1};
  expect_same_bits(c);
}

TEST(CudaOptimizers, adamw8bit_reads_every_code_and_writes_the_nearest_at_every_border) {
  Case codes = adamw8bit_case(512, 7);
  for (size_t i = 0; i < 512; ++i) codes.data[2][i] = codes.data[3][i] = static_cast<double>(i % 256);
  expect_same_bits(codes);

  // β = 0 leaves the gradient and its square as moments; the first of each block is 1, so that they are not scaled.
  const std::vector<float>&with_sign = ops::dynamic_map(true), &without = ops::dynamic_map(false);
  std::vector<double> gradients;
  const auto add = [&](float g) {
    if (gradients.size() % 256 == 0) gradients.push_back(1);
    gradients.push_back(g);
  };
  for (size_t i = 1; i < 256; ++i) {
    const float signed_border = (with_sign[i - 1] + with_sign[i]) * 0.5f,
                border = std::sqrt((without[i - 1] + without[i]) * 0.5f);
    for (float g : {signed_border, border}) {
      add(g);
      add(std::nextafter(g, -2.0f));
      add(std::nextafter(g, 2.0f));
    }
  }
  Case borders = adamw8bit_case(static_cast<int64_t>(gradients.size()), 8, {{"beta1", 0.0}, {"beta2", 0.0}});
  borders.data[1] = gradients;
  borders.data[6][1] = 1;
  expect_same_bits(borders);
}

Case adafactor_case(Shape shape, Attrs attrs) {
  const int64_t columns = shape[0] == 0 ? 0 : shape.elements() / shape[0];
  return random_case(
      "adafactor",
      {{DType::kF32, shape}, {DType::kF32, shape}, {DType::kF32, {shape[0]}}, {DType::kF32, {columns}}, {DType::kF32, {4}}},
      std::move(attrs), {Fill::kNormal, Fill::kNormal, Fill::kPositive, Fill::kPositive, Fill::kPositive});
}
Case adafactor_vector_case(int64_t count, Attrs attrs) {
  const TensorType of{DType::kF32, {count}};
  return random_case("adafactor_vector", {of, of, of, {DType::kF32, {4}}}, std::move(attrs),
                     {Fill::kNormal, Fill::kNormal, Fill::kPositive, Fill::kPositive});
}

void expect_reference(const Case& c, const std::shared_ptr<lower::Backend>& backend) {
  const OneOpRun run = run_one_op(backend, c.call, c.data);
  ASSERT_TRUE(run.call.on_backend) << c.name;
  expect_close(c, run, reference(c));
}

TEST(CudaOptimizers, adafactor_agrees_with_its_reference_at_the_widths_of_unets_and_in_tiles_that_are_not_full) {
  const auto cuda = open_backend("cuda", {}, kCudaDouble);
  for (const Shape& shape : {Shape{320, 320}, Shape{640, 768}, Shape{1280, 320}, Shape{320, 4, 3, 3}, Shape{4, 320, 3, 3},
                             Shape{33, 129}, Shape{31, 132}, Shape{65, 127}, Shape{1, 300}, Shape{300, 1}, Shape{2000, 7}})
    for (const double clip_rms : {1.0, 1e-3}) {
      Case c = adafactor_case(shape, {{"clip_rms", clip_rms}, {"weight_decay", 0.1}});
      c.name += " of " + std::to_string(shape[0]) + " rows";
      expect_reference(c, cuda);
    }
  for (const int64_t count : {2, 5, 320, 1280, 4096, 4097, 10241})
    expect_reference(adafactor_vector_case(count, {{"weight_decay", 0.1}}), cuda);
}

TEST(CudaOptimizers, adafactor_shows_nan_where_the_cpu_backend_does) {
  const auto cpu = open_backend("cpu", {"threads=1"}), cuda = open_backend("cuda", {}, kCudaDouble);
  Case matrix = adafactor_case({40, 130}, {}), vector = adafactor_vector_case(300, {});
  matrix.data[1][17 * 130 + 5] = vector.data[1][77] = kNaN;
  for (const Case& c : {matrix, vector}) {
    const OneOpRun want = run_one_op(cpu, c.call, c.data), got = run_one_op(cuda, c.call, c.data);
    size_t found = 0;
    for (size_t r = 0; r < want.outputs.size(); ++r) {
      const auto a = to_doubles(DType::kF32, want.outputs[r]), b = to_doubles(DType::kF32, got.outputs[r]);
      for (size_t i = 0; i < a.size(); ++i) {
        found += std::isnan(a[i]);
        ASSERT_EQ(std::isnan(a[i]), std::isnan(b[i])) << c.name << " result " << r << " at " << i;
      }
    }
    EXPECT_GT(found, 0u);
  }
}

TEST(CudaOptimizers, tensors_without_elements_are_taken) {
  const auto cuda = open_backend("cuda", {}, kCudaDouble);
  const TensorType none{DType::kF32, {0}};
  for (const Case& c : {random_case("adamw", {none, none, none, none, {DType::kF32, {4}}}, {}, {}), adamw8bit_case(0, 1),
                        adafactor_vector_case(0, {}), adafactor_case({5, 0}, {})})
    expect_reference(c, cuda);
}

/// Every result of `graph` on `backend`, as bytes; operands as a seed gives them.
std::vector<std::vector<std::byte>> run_graph(const Graph& graph, const std::shared_ptr<lower::Backend>& backend) {
  exec::Executor executor(lower::lower(std::make_shared<Graph>(graph), {.backend = backend.get(), .strict = true}), backend,
                          nullptr, {.progress = false});
  std::vector<std::vector<std::byte>> inputs, outputs;
  std::vector<const void*> in;
  std::vector<void*> out;
  for (Value v : graph.inputs()) {
    const TensorType& type = graph.type(v);
    const bool hyper = graph.def(v).label == "hyper";
    inputs.push_back(to_bytes(
        type.dtype, hyper ? std::vector<double>{1e-3, 0.7, 0.1, 0.01} : random_tensor(type, Fill::kPositive, 3, inputs.size())));
    in.push_back(inputs.back().data());
  }
  for (const Output& output : graph.outputs()) outputs.emplace_back(graph.type(output.value).bytes());
  for (auto& bytes : outputs) out.push_back(bytes.data());
  executor.run(in, out);
  return outputs;
}

/// An update of a tensor of `count` elements and its gradient's norm, appended under `name`.
void append_update(Builder& b, int64_t count, const std::string& name, Value hyper, Value decay) {
  const TensorType of = f32({count});
  const Value p = b.input(name + "p", of), g = b.input(name + "g", of), m = b.input(name + "m", of), v = b.input(name + "v", of);
  b.output(name + "norm", b.op(*ops::find("squared_norm"), {g}));
  const std::vector<Value> now = b.ops(*ops::find("adamw"), {p, g, m, v, hyper});
  for (size_t i = 0; i < now.size(); ++i) b.output(name + std::to_string(i), now[i]);
  b.output(name + "average", b.op(*ops::find("ema"), {b.input(name + "a", of), now[0], decay}));
}

TEST(CudaOptimizers, many_tensors_at_once_get_the_bits_that_each_gets_alone_whatever_the_order_of_threads) {
  const std::vector<int64_t> counts{1, 3, 255, 1024, 1025, 2049, 4096, 9001};
  const auto graph_of = [](const std::vector<int64_t>& sizes) {
    Graph graph;
    Builder b(graph);
    const Value hyper = b.input("hyper", f32({4})), decay = b.input("decay", f32({1}));
    for (size_t i = 0; i < sizes.size(); ++i) append_update(b, sizes[i], "t" + std::to_string(i) + ".", hyper, decay);
    return graph;
  };
  const Graph graph = graph_of(counts);
  const auto cuda = open_backend("cuda", {}, kCudaDouble);
  const auto together = run_graph(graph, cuda);
  setenv("ESPALIER_EMULATE_ORDER", "11", 1);
  const auto shuffled = run_graph(graph, open_backend("cuda", {}, kCudaDouble));
  unsetenv("ESPALIER_EMULATE_ORDER");
  EXPECT_EQ(together, shuffled);
  const auto cpu = run_graph(graph, open_backend("cpu", {"threads=1"}));
  ASSERT_EQ(together.size(), cpu.size());
  for (size_t i = 0; i < cpu.size(); ++i) {
    const auto a = to_doubles(DType::kF32, together[i]), b = to_doubles(DType::kF32, cpu[i]);
    for (size_t k = 0; k < a.size(); ++k)
      ASSERT_NEAR(a[k], b[k], 2e-6 * (1 + std::abs(b[k]))) << graph.outputs()[i].name << ' ' << k;
  }
  // In f32 a partition that has anything else in it runs its calls one by one: a negated scalar is enough.
  Graph apart = graph_of(counts);
  Builder b(apart);
  b.output("else", b.op(*ops::find("neg"), {apart.find_input("decay")}));
  auto alone = run_graph(apart, cuda);
  alone.pop_back();
  EXPECT_EQ(together, alone);
}

}  // namespace
}  // namespace espalier
