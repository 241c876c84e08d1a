// What the cpu backend promises, through the C ABI: every sample of every op, on every kernel that takes it, equals the op's
// reference; the same bits for any number of threads; parameters in any file dtype, packed or mapped.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <set>

#include "tests/support/op_cases.h"

namespace espalier {
namespace {

using namespace testing;

const std::vector<std::string> kPreferences{"auto", "tiled", "winograd", "onednn", "eigen", "simple"};

TEST(CpuConformance, every_sample_equals_the_reference_on_every_kernel) {
  std::map<std::string, std::map<std::string, int>> table;  // op → kernel → samples
  std::vector<std::shared_ptr<lower::Backend>> backends;
  for (const std::string& prefer : kPreferences) backends.push_back(open_backend("cpu", {"threads=2", "prefer=" + prefer}));
  for (const Case& c : all_cases()) {
    const Data expected = reference(c);
    std::set<std::string> seen;
    for (const auto& backend : backends) {
      const OneOpRun run = run_one_op(backend, c.call, c.data);
      if (!seen.insert(run.call.kernel).second) continue;
      ++table[std::string(*c.call.op->name)][run.call.kernel];
      if (!run.outputs.empty()) expect_close(c, run, expected);
    }
  }
  for (const auto& [op, kernels] : table) {
    std::printf("%-20s", op.c_str());
    for (const auto& [kernel, samples] : kernels) std::printf("  %s %d", kernel.c_str(), samples);
    std::printf("\n");
  }
}

TEST(CpuConformance, every_op_has_a_kernel_for_every_f32_sample) {
  const auto backend = open_backend("cpu", {});
  for (const Case& c : all_cases()) {
    const bool wide = c.call.inputs[0].dtype == DType::kF64 || c.call.inputs[0].dtype == DType::kI64;
    const OneOpRun run = run_one_op(backend, c.call, c.data);
    if (wide || run.call.kernel == "view") continue;
    EXPECT_TRUE(run.call.on_backend) << c.name;
  }
}

TEST(CpuConformance, results_are_the_same_bits_for_any_number_of_threads) {
  std::vector<std::shared_ptr<lower::Backend>> backends;
  for (const char* threads : {"1", "2", "3", "4", "8"})
    backends.push_back(open_backend("cpu", {std::string("threads=") + threads}));
  for (const Case& c : all_cases()) {
    const OneOpRun one = run_one_op(backends[0], c.call, c.data, {weights_of(c.call)});
    for (size_t i = 1; i < backends.size(); ++i)
      EXPECT_EQ(one.outputs, run_one_op(backends[i], c.call, c.data, {weights_of(c.call)}).outputs)
          << c.name << ", backend " << i;
  }
}

TEST(CpuConformance, oneDNN_and_Eigen_give_the_same_bits_for_any_number_of_threads) {
  for (const char* prefer : {"prefer=onednn", "prefer=eigen"}) {
    const auto one = open_backend("cpu", {"threads=1", prefer}), five = open_backend("cpu", {"threads=5", prefer});
    for (const Case& c : all_cases()) {
      const OneOpRun alone = run_one_op(one, c.call, c.data, {weights_of(c.call)});
      EXPECT_EQ(alone.outputs, run_one_op(five, c.call, c.data, {weights_of(c.call)}).outputs)
          << c.name << " on " << alone.call.kernel;
    }
  }
}

TEST(CpuConformance, parameters_of_every_file_dtype_packed_and_mapped_agree_with_the_reference) {
  std::vector<std::shared_ptr<lower::Backend>> backends;
  for (const std::string& prefer : kPreferences) backends.push_back(open_backend("cpu", {"threads=2", "prefer=" + prefer}));
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16})
    for (Case c : all_cases()) {
      const std::vector<bool> params = weights_of(c.call);
      if (std::find(params.begin(), params.end(), true) == params.end()) continue;
      for (size_t i = 0; i < params.size(); ++i)  // the reference computes from what the file holds
        if (params[i]) c.data[i] = testing::to_doubles(dtype, testing::to_bytes(dtype, c.data[i]));
      const Data expected = reference(c);
      std::set<std::string> seen;
      for (const auto& backend : backends) {
        const OneOpRun packed = run_one_op(backend, c.call, c.data, {params, dtype, false});
        if (!seen.insert(packed.call.kernel).second || packed.outputs.empty()) continue;
        expect_close(c, packed, expected);
        EXPECT_EQ(packed.outputs, run_one_op(backend, c.call, c.data, {params, dtype, true}).outputs)
            << c.name << " on " << packed.call.kernel << ": mapped differs from packed";
      }
    }
}

TEST(CpuConformance, mapped_weights_are_dropped_after_each_run) {
  const OpDef& def = *ops::find("linear");
  Case c = make_case(def, 0, {.inputs = {f32({8, 160}), f32({200, 160})}, .attrs = {}});
  c.data[1] = testing::to_doubles(DType::kF16, testing::to_bytes(DType::kF16, c.data[1]));
  const OneOpRun run = run_one_op(open_backend("cpu", {}), c.call, c.data, {weights_of(c.call), DType::kF16, true});
  EXPECT_EQ(run.dropped, 2);
  expect_close(c, run, reference(c));
}

TEST(CpuConformance, refusals_come_with_a_reason_for_each_better_ranked_kernel) {
  const OpDef& def = *ops::find("conv2d");
  const Case c = make_case(def, 0,
                           {.inputs = {f32({1, 9, 9, 40}), f32({40, 40, 3, 3}), f32({40})},
                            .attrs = {{"stride", int64_t{2}}, {"padding", std::vector<int64_t>{1, 1, 1, 1}}}});
  const OneOpRun run = run_one_op(open_backend("cpu", {}), c.call, c.data, {weights_of(c.call)});
  ASSERT_TRUE(run.call.on_backend);
  ASSERT_FALSE(run.call.refusals.empty());
  EXPECT_EQ(run.call.refusals[0].kernel, "winograd");
  EXPECT_EQ(run.call.refusals[0].reason, "stride is not 1");
}

TEST(CpuConformance, a_gate_of_zero_copies_x_even_where_y_is_not_finite) {
  const OpDef& def = *ops::find("gate");
  Case c = make_case(def, 0, {.inputs = {f32({3, 5}), f32({3, 5}), f32({2})}, .attrs = {{"index", int64_t{1}}}});
  c.data[1].assign(15, NAN);
  c.data[2] = {1.0, 0.0};
  const OneOpRun run = run_one_op(open_backend("cpu", {}), c.call, c.data);
  EXPECT_EQ(testing::to_doubles(DType::kF32, run.outputs[0]), c.data[0]);
}

TEST(CpuConformance, functions_hold_at_the_ends_of_their_range) {
  const std::vector<double> x{-1e30, -200, -104, -88.5, -20, -1e-20, 0, 1e-20, 0.62, 0.75, 5, 9, 20, 88.5, 1e3, 1e30};
  for (const char* name : {"gelu", "sigmoid", "silu", "tanh", "erf", "exp"}) {
    Case c = make_case(*ops::find(name), 0, {.inputs = {f32({static_cast<int64_t>(x.size())})}, .attrs = {}});
    c.data[0] = x;
    const Data expected = reference(c);
    const std::vector<double> got =
        testing::to_doubles(DType::kF32, run_one_op(open_backend("cpu", {}), c.call, c.data).outputs[0]);
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::abs(expected[0][i]) > 3.4e38)
        EXPECT_TRUE(std::isinf(got[i])) << name << "(" << x[i] << ")";
      else
        EXPECT_NEAR(got[i], expected[0][i], 1e-6 * std::abs(expected[0][i]) + 1e-30) << name << "(" << x[i] << ")";
    }
  }
}

}  // namespace
}  // namespace espalier
