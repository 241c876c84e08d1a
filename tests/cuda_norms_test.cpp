// Norms, softmax and geglu at SDXL's widths, at odd ones, and with more rows than a grid of blocks takes at once.

#include <gtest/gtest.h>

#include "tests/support/op_cases.h"

namespace espalier {
namespace {

using namespace testing;

constexpr DType kFloats[] = {DType::kF32, DType::kBF16, DType::kF16};

void expect_equal(const std::shared_ptr<lower::Backend>& backend, const char* op, const Sample& sample) {
  const Case c = make_case(*ops::find(op), 0, sample);
  const OneOpRun run = run_one_op(backend, c.call, c.data);
  ASSERT_TRUE(run.call.on_backend) << op << " of " << to_string(c.call.inputs[0]);
  expect_close(c, run, reference(c));
}

class CudaNorms : public ::testing::TestWithParam<DType> {
 protected:
  static TensorType of(const Shape& shape) { return {GetParam(), shape}; }
  std::shared_ptr<lower::Backend> backend_ = open_backend("cuda", {}, kCudaDouble);
};

TEST_P(CudaNorms, layer_norms_and_softmaxes_of_production_and_odd_widths) {
  for (const int64_t width : {1, 2, 3, 31, 77, 320, 333, 640, 1280, 2560, 5121})
    for (const int64_t rows : {1, 3}) {
      const TensorType x = of({rows, width}), w = of({width});
      const Attrs eps{{"eps", 1e-5}};
      expect_equal(backend_, "layer_norm", {.inputs = {x, w, w}, .attrs = eps});
      expect_equal(backend_, "layer_norm_grad_input", {.inputs = {x, x, w}, .attrs = eps});
      expect_equal(backend_, "layer_norm_grad_affine", {.inputs = {x, x}, .attrs = eps});
      expect_equal(backend_, "softmax", {.inputs = {x}});
    }
  for (const int64_t rows : {255, 1025}) {
    expect_equal(backend_, "layer_norm_grad_affine", {.inputs = {of({rows, 24}), of({rows, 24})}, .attrs = {{"eps", 1e-5}}});
    expect_equal(backend_, "softmax", {.inputs = {of({rows, 5})}});
  }
}

TEST_P(CudaNorms, group_norms_of_production_and_odd_widths) {
  struct Size {
    int64_t h, w, channels, groups;
  };
  for (const Size& s :
       {Size{1, 1, 320, 32}, Size{3, 5, 320, 32}, Size{2, 3, 640, 32}, Size{2, 2, 1280, 32}, Size{1, 3, 1920, 32},
        Size{1, 1, 2560, 32}, Size{5, 7, 12, 4}, Size{3, 3, 9, 3}, Size{2, 5, 7, 1}, Size{4, 4, 6, 6}, Size{33, 31, 8, 2}}) {
    const TensorType x = of({2, s.h, s.w, s.channels}), w = of({s.channels});
    const Attrs attrs{{"groups", s.groups}, {"eps", 1e-5}};
    expect_equal(backend_, "group_norm", {.inputs = {x, w, w}, .attrs = attrs});
    expect_equal(backend_, "group_norm_silu", {.inputs = {x, w, w}, .attrs = attrs});
    expect_equal(backend_, "group_norm_grad_input", {.inputs = {x, x, w}, .attrs = attrs});
    expect_equal(backend_, "group_norm_grad_affine", {.inputs = {x, x}, .attrs = attrs});
  }
}

TEST_P(CudaNorms, geglus_of_production_and_odd_widths) {
  for (const int64_t width : {1, 3, 8, 320, 641, 2560})
    for (const int64_t rows : {1, 5}) {
      expect_equal(backend_, "geglu", {.inputs = {of({rows, 2 * width})}});
      expect_equal(backend_, "geglu_grad", {.inputs = {of({rows, 2 * width}), of({rows, width})}});
    }
}

INSTANTIATE_TEST_SUITE_P(Types, CudaNorms, ::testing::ValuesIn(kFloats),
                         [](const auto& info) { return std::string(name_of(info.param)); });

}  // namespace
}  // namespace espalier
