// What the cuda backend promises, its kernels' source run on the host and a double in place of NVIDIA's libraries: every sample
// of every op equals the op's reference, in each element type, with the threads of a block in any order.

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>

#include "tests/support/op_cases.h"

namespace espalier {
namespace {

using namespace testing;

std::shared_ptr<lower::Backend> cuda() { return open_backend("cuda", {}, kCudaDouble); }

/// The samples of f32 once more with operands and results of `dtype`, of ops that are not for f32 alone.
std::vector<Case> cases_in(DType dtype) {
  // Gates and decays are f32, state of optimizers too: those ops have tests of their own.
  static const std::set<std::string_view> kOfF32{"adafactor", "adafactor_vector", "adamw", "adamw8bit", "ema", "gate"};
  std::vector<Case> cases;
  for (const OpDef* def : ops::all()) {
    if (def == &ops::composite_def) continue;  // known by name; what is not known is written out
    const std::vector<Sample> samples = (*def->samples)();
    for (size_t i = 0; i < samples.size(); ++i) {
      Sample sample = samples[i];
      bool all_f32 = !kOfF32.count(*def->name);
      for (TensorType& type : sample.inputs) {
        if (!type.present()) continue;
        all_f32 = all_f32 && type.dtype == DType::kF32;
        type.dtype = dtype;
      }
      if (all_f32) cases.push_back(make_case(*def, i, sample));
    }
  }
  return cases;
}

/// Each case is taken but those of `refused`, and equals its reference.
void expect_every_case(const std::vector<Case>& cases, const std::set<std::string>& refused) {
  const auto backend = cuda();
  std::set<std::string> not_taken;
  std::map<std::string, std::map<std::string, int>> table;  // op → kernel → samples
  for (const Case& c : cases) {
    const OneOpRun run = run_one_op(backend, c.call, c.data);
    ++table[std::string(*c.call.op->name)][run.call.kernel];
    if (!run.outputs.empty()) expect_close(c, run, reference(c));
    const bool wide = c.call.inputs[0].dtype == DType::kF64 || c.call.inputs[0].dtype == DType::kI64;
    if (!wide && run.call.kernel != "view" && !run.call.on_backend) not_taken.insert(std::string(*c.call.op->name));
  }
  EXPECT_EQ(not_taken, refused);
  for (const auto& [op, kernels] : table) {
    std::printf("%-24s", op.c_str());
    for (const auto& [kernel, samples] : kernels) std::printf("  %s %d", kernel.c_str(), samples);
    std::printf("\n");
  }
}

// cuDNN has no attention in f32, where a pass takes it apart, nor of the samples' narrow heads in half precision. Casts to
// integers have no kernel yet.
const std::set<std::string> kRefused{"attention", "attention_grad", "cast"};

TEST(CudaConformance, every_sample_equals_the_reference) { expect_every_case(all_cases(), kRefused); }
TEST(CudaConformance, every_sample_in_bf16_equals_the_reference) { expect_every_case(cases_in(DType::kBF16), kRefused); }
TEST(CudaConformance, every_sample_in_f16_equals_the_reference) { expect_every_case(cases_in(DType::kF16), kRefused); }

TEST(CudaConformance, results_are_the_same_bits_whatever_the_order_of_threads) {
  std::vector<std::vector<std::vector<std::byte>>> in_order;
  const auto backend = cuda();
  for (const Case& c : all_cases()) in_order.push_back(run_one_op(backend, c.call, c.data).outputs);
  setenv("ESPALIER_EMULATE_ORDER", "7", 1);  // read when a device is opened
  const auto shuffled = cuda();
  unsetenv("ESPALIER_EMULATE_ORDER");
  size_t at = 0;
  for (const Case& c : all_cases()) EXPECT_EQ(in_order[at++], run_one_op(shuffled, c.call, c.data).outputs) << c.name;
}

TEST(CudaConformance, group_norm_of_a_large_mean_or_an_odd_first_value_keeps_its_digits) {
  for (const double odd : {100.0, 0.0, 3000.0}) {
    Case c =
        make_case(*ops::find("group_norm"), 0,
                  {.inputs = {f32({2, 20, 21, 12}), f32({12}), f32({12})}, .attrs = {{"groups", int64_t{3}}}, .tolerance = 2e-5});
    for (double& value : c.data[0]) value += 100;
    for (size_t channel = 0; channel < 12; ++channel) c.data[0][channel] = odd;
    c.data[0] = to_doubles(DType::kF32, to_bytes(DType::kF32, c.data[0]));
    expect_close(c, run_one_op(cuda(), c.call, c.data), reference(c));
  }
}

TEST(CudaConformance, adamw8bit_gives_the_bits_of_the_cpu_backend) {
  const auto cpu = open_backend("cpu", {}), device = cuda();
  const std::vector<Sample> samples = (*ops::find("adamw8bit")->samples)();
  for (size_t i = 0; i < samples.size(); ++i) {
    const Case c = make_case(*ops::find("adamw8bit"), i, samples[i]);
    EXPECT_EQ(run_one_op(device, c.call, c.data).outputs, run_one_op(cpu, c.call, c.data).outputs) << c.name;
  }
}

TEST(CudaConformance, attention_of_heads_that_cudnn_takes_equals_the_reference) {
  for (const DType dtype : {DType::kF16, DType::kBF16})
    for (const char* op : {"attention", "attention_grad"}) {
      Sample sample{.inputs = {{dtype, {2, 5, 48}}, {dtype, {2, 7, 48}}, {dtype, {2, 7, 48}}}, .attrs = {{"heads", int64_t{3}}}};
      if (std::string_view(op) == "attention_grad") sample.inputs.push_back({dtype, {2, 5, 48}});
      const Case c = make_case(*ops::find(op), 0, sample);
      const OneOpRun run = run_one_op(cuda(), c.call, c.data);
      EXPECT_EQ(run.call.kernel, "cudnn") << op;
      if (!run.outputs.empty()) expect_close(c, run, reference(c));
    }
}

TEST(CudaConformance, parameters_of_every_file_dtype_kept_and_mapped_agree_with_the_reference) {
  const auto backend = cuda();
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16})
    for (Case c : all_cases()) {
      const std::vector<bool> params = weights_of(c.call);
      if (std::find(params.begin(), params.end(), true) == params.end()) continue;
      for (size_t i = 0; i < params.size(); ++i)  // the reference computes from what the file holds
        if (params[i]) c.data[i] = to_doubles(dtype, to_bytes(dtype, c.data[i]));
      const OneOpRun kept = run_one_op(backend, c.call, c.data, {params, dtype, false});
      if (kept.outputs.empty()) continue;
      expect_close(c, kept, reference(c));
      EXPECT_EQ(kept.outputs, run_one_op(backend, c.call, c.data, {params, dtype, true}).outputs)
          << c.name << ": mapped differs from kept";
    }
}

}  // namespace
}  // namespace espalier
