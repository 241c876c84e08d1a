// What the samples do not reach of ops that make each number from one place of every operand: the ends of functions' ranges,
// gates and embeddings of half precision, broadcasting at production widths and in eight dimensions, elements of every size.

#include <gtest/gtest.h>

#include "tests/support/op_cases.h"

namespace espalier {
namespace {

using namespace testing;

constexpr DType kFloats[] = {DType::kF32, DType::kBF16, DType::kF16};

std::shared_ptr<lower::Backend> cuda() { return open_backend("cuda", {}, kCudaDouble); }

/// Runs on the backend's own kernel and equals the reference.
OneOpRun expect_equal(const std::shared_ptr<lower::Backend>& backend, const Case& c) {
  OneOpRun run = run_one_op(backend, c.call, c.data);
  std::string why;
  for (const auto& refusal : run.call.refusals) why += " " + refusal.reason;
  EXPECT_TRUE(run.call.on_backend) << c.name << " of " << to_string(c.call.inputs[0]) << why;
  if (!run.outputs.empty()) expect_close(c, run, reference(c));
  return run;
}

Case of(const char* op, const Sample& sample) { return make_case(*ops::find(op), 0, sample); }

TEST(CudaElementwise, a_gate_of_zero_copies_x_even_where_y_is_not_finite) {
  for (const DType dtype : kFloats) {
    Case c = of("gate", {.inputs = {{dtype, {3, 5}}, {dtype, {3, 5}}, f32({2})}, .attrs = {{"index", int64_t{1}}}});
    c.data[1].assign(15, NAN);
    c.data[2] = {1.0, 0.0};
    const OneOpRun run = run_one_op(cuda(), c.call, c.data);
    ASSERT_TRUE(run.call.on_backend) << to_string(TensorType{dtype, {}});
    EXPECT_EQ(to_doubles(dtype, run.outputs[0]), c.data[0]);
  }
}

TEST(CudaElementwise, gates_are_f32_whatever_they_let_through) {
  for (const DType dtype : kFloats)
    for (const int64_t width : {1, 7, 320, 641})
      for (const double gate : {0.0, 0.30078, 1.0}) {
        Case c = of("gate", {.inputs = {{dtype, {3, width}}, {dtype, {3, width}}, f32({5})}, .attrs = {{"index", int64_t{3}}}});
        c.data[2] = to_doubles(DType::kF32, to_bytes(DType::kF32, std::vector<double>{9, 9, 9, gate, 9}));
        expect_equal(cuda(), c);
      }
}

TEST(CudaElementwise, functions_hold_at_the_ends_of_their_range) {
  const std::vector<double> x{-1e30, -200, -104, -88.5, -20, -1e-20, 0, 1e-20, 0.62, 0.75, 5, 9, 20, 88.5, 1e3, 1e30};
  for (const char* name : {"gelu", "sigmoid", "silu", "tanh", "erf", "exp"}) {
    Case c = of(name, {.inputs = {f32({static_cast<int64_t>(x.size())})}});
    c.data[0] = x;
    const Data expected = reference(c);
    const OneOpRun run = run_one_op(cuda(), c.call, c.data);
    ASSERT_TRUE(run.call.on_backend) << name;
    const std::vector<double> got = to_doubles(DType::kF32, run.outputs[0]);
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::abs(expected[0][i]) > 3.4e38)
        EXPECT_TRUE(std::isinf(got[i])) << name << "(" << x[i] << ")";
      else
        EXPECT_NEAR(got[i], expected[0][i], 1e-6 * std::abs(expected[0][i]) + 1e-30) << name << "(" << x[i] << ")";
    }
  }
}

TEST(CudaElementwise, timesteps_of_half_precision_are_embedded_in_f32) {
  for (const DType dtype : kFloats)
    for (const int64_t dim : {2, 7, 320})
      expect_equal(cuda(), of("timestep_embedding", {.inputs = {{dtype, {3}}},
                                                     .attrs = {{"dim", dim}, {"flip_sin_to_cos", true}},
                                                     .fills = {Fill::kTimesteps},
                                                     .tolerance = 1e-4}));
}

TEST(CudaElementwise, operands_of_production_widths_broadcast_along_rows_and_as_scalars) {
  const auto backend = cuda();
  for (const DType dtype : kFloats)
    for (const int64_t c : {320, 1280, 641, 3})
      for (const Shape& other : {Shape{2, 3, 5, c}, Shape{c}, Shape{2, 1, 1, c}, Shape{}, Shape{2, 3, 5, 1}, Shape{3, 1, c}})
        for (const char* op : {"add", "sub", "maximum"}) {
          const TensorType x{dtype, {2, 3, 5, c}}, y{dtype, other};
          expect_equal(backend, of(op, {.inputs = {x, y}}));
          expect_equal(backend, of(op, {.inputs = {y, x}}));
        }
}

TEST(CudaElementwise, eight_dimensions_that_do_not_merge_broadcast_both_ways) {
  for (const DType dtype : kFloats)
    for (const int64_t last : {1, 3, 8, 16}) {
      const TensorType a{dtype, {2, 1, 3, 1, 2, 1, 3, last}}, b{dtype, {1, 3, 1, 2, 1, 3, 1, last}};
      for (const char* op : {"add", "mul", "sub", "div"})
        expect_equal(cuda(), of(op, {.inputs = {a, b}, .fills = {Fill::kNormal, Fill::kPositive}}));
    }
}

TEST(CudaElementwise, nan_wins_in_maximum_from_either_side) {
  Case c = of("maximum", {.inputs = {f32({3}), f32({3})}});
  c.data = {{NAN, 1, 2}, {1, NAN, 3}};
  const OneOpRun run = run_one_op(cuda(), c.call, c.data);
  const std::vector<double> got = to_doubles(DType::kF32, run.outputs[0]);
  EXPECT_TRUE(std::isnan(got[0]));
  EXPECT_TRUE(std::isnan(got[1]));
  EXPECT_EQ(got[2], 3);
}

TEST(CudaElementwise, elements_of_every_size_move) {
  const auto backend = cuda();
  for (const DType dtype : {DType::kU8, DType::kI32, DType::kI64, DType::kF64, DType::kF16, DType::kBF16, DType::kF32})
    for (const int64_t c : {1, 3, 16, 320}) {
      const TensorType x{dtype, {2, 5, c}};
      const std::vector<Fill> fills(2, Fill::kTimesteps);
      const auto move = [&](const char* op, Sample sample) {
        sample.fills = fills;
        Case made = of(op, sample);
        for (auto& values : made.data)
          for (double& value : values) value = std::fmod(std::trunc(std::abs(value)), 120);  // every type holds it
        expect_equal(backend, made);
      };
      move("permute", {.inputs = {x}, .attrs = {{"order", std::vector<int64_t>{0, 2, 1}}}});
      move("permute", {.inputs = {x}, .attrs = {{"order", std::vector<int64_t>{1, 0, 2}}}});
      move("slice", {.inputs = {x}, .attrs = {{"axis", int64_t{1}}, {"begin", int64_t{1}}, {"end", int64_t{4}}}});
      move("slice", {.inputs = {x}, .attrs = {{"axis", int64_t{-1}}, {"begin", c / 3}, {"end", c}}});
      move("broadcast", {.inputs = {{dtype, {5, 1}}}, .attrs = {{"shape", std::vector<int64_t>{2, 5, c}}}});
      move("broadcast", {.inputs = {{dtype, {c}}}, .attrs = {{"shape", std::vector<int64_t>{2, 5, c}}}});
      for (const int64_t axis : {0, 1, -1}) move("concat", {.inputs = {x, x}, .attrs = {{"axis", axis}}});
    }
}

TEST(CudaElementwise, images_of_production_widths_are_upsampled_and_back) {
  const auto size = [](int64_t h, int64_t w) { return Attrs{{"height", h}, {"width", w}}; };
  for (const DType dtype : kFloats)
    for (const int64_t c : {320, 35}) {
      expect_equal(cuda(), of("upsample_nearest", {.inputs = {{dtype, {2, 4, 3, c}}}, .attrs = size(8, 6)}));
      expect_equal(cuda(), of("upsample_nearest", {.inputs = {{dtype, {1, 4, 3, c}}}, .attrs = size(7, 5)}));
      expect_equal(cuda(), of("upsample_nearest_grad", {.inputs = {{dtype, {2, 8, 6, c}}}, .attrs = size(4, 3)}));
    }
}

TEST(CudaElementwise, tensors_without_elements_are_nothing_to_do) {
  for (const DType dtype : kFloats) {
    const TensorType none{dtype, {0, 8}};
    for (const char* op : {"gelu", "neg"}) expect_equal(cuda(), of(op, {.inputs = {none}}));
    for (const char* op : {"silu_grad", "add", "accumulate"}) expect_equal(cuda(), of(op, {.inputs = {none, none}}));
    expect_equal(cuda(), of("add", {.inputs = {none, {dtype, {8}}}}));
    expect_equal(cuda(), of("gate", {.inputs = {none, none, f32({1})}, .attrs = {{"index", int64_t{0}}}}));
    expect_equal(cuda(), of("concat", {.inputs = {none, {dtype, {3, 8}}}, .attrs = {{"axis", int64_t{0}}}}));
  }
}

}  // namespace
}  // namespace espalier
