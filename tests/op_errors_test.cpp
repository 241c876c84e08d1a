// What each op says about operands and attributes that break its contract: exact messages, one row each.

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/base/error.h"
#include "core/ir/builder.h"
#include "core/ops/registry.h"

namespace espalier {
namespace {

struct Row {
  const char* op;
  std::vector<TensorType> inputs;
  Attrs attrs;
  const char* message;  // after "[op] "
};

TensorType f16(Shape shape) { return {DType::kF16, std::move(shape)}; }
TensorType i32(Shape shape) { return {DType::kI32, std::move(shape)}; }
TensorType u8(Shape shape) { return {DType::kU8, std::move(shape)}; }
using Ints = std::vector<int64_t>;
constexpr auto kFloatOnly = "x is i32[3]; it must be floating point";

constexpr const char* kTwice = "graph @b(%x: f32[3]) -> f32[3] {\n  %y = add %x, %x : f32[3]\n  return %y\n}";

Attrs composite(const std::string& name, const std::string& body) { return {{"name", name}, {"body", body}}; }

std::vector<Row> rows() {
  const TensorType image = f32({1, 8, 8, 4}), filter = f32({6, 4, 3, 3}), none{};
  const Attrs heads{{"heads", int64_t{2}}}, groups{{"groups", int64_t{4}}}, dim{{"dim", int64_t{8}}};
  return {
      {"gelu", {i32({3})}, {}, kFloatOnly},
      {"sigmoid", {i32({3})}, {}, kFloatOnly},
      {"silu", {i32({3})}, {}, kFloatOnly},
      {"tanh", {i32({3})}, {}, kFloatOnly},
      {"abs", {i32({3})}, {}, kFloatOnly},
      {"cos", {i32({3})}, {}, kFloatOnly},
      {"erf", {i32({3})}, {}, kFloatOnly},
      {"exp", {i32({3})}, {}, kFloatOnly},
      {"log", {i32({3})}, {}, kFloatOnly},
      {"neg", {i32({3})}, {}, kFloatOnly},
      {"rsqrt", {i32({3})}, {}, kFloatOnly},
      {"sign", {i32({3})}, {}, kFloatOnly},
      {"sin", {i32({3})}, {}, kFloatOnly},
      {"stop_gradient", {i32({3})}, {}, kFloatOnly},
      {"composite", {f32({3})}, composite("", "x"), "it has no name"},
      {"composite",
       {f32({3})},
       composite("a.b", "graph"),
       "its body does not parse: composite:1:6: expected the graph's name such as '@main', found the end of the file"},
      {"composite", {f32({3}), f32({3})}, composite("a.b", kTwice), "it has 2 operands, its body 1 inputs"},
      {"composite", {f32({4})}, composite("a.b", kTwice), "operand 0 is f32[4], its body's is f32[3]"},
      {"sqrt", {i32({3})}, {}, kFloatOnly},
      {"square", {i32({3})}, {}, kFloatOnly},
      {"softmax", {i32({3})}, {}, kFloatOnly},
      {"softmax", {f32({})}, {}, "x has rank 0, […,C] has at least 1"},

      {"add", {f32({2, 3}), f32({2})}, {}, "a is f32[2,3] and c is f32[2], which do not broadcast"},
      {"add",
       {f32({int64_t{1} << 40, 1}), f32({int64_t{1} << 40})},
       {},
       "a result of [1099511627776,1099511627776] holds more than 2^48 elements"},
      {"div", {f32({2}), f32({3})}, {}, "a is f32[2] and c is f32[3], which do not broadcast"},
      {"maximum", {f32({2}), f16({2})}, {}, "c is f16[2] but a is f32[2]; they must have one dtype"},
      {"mul", {f32({2}), f32({3})}, {}, "a is f32[2] and c is f32[3], which do not broadcast"},
      {"sub", {f32({4, 2}), f32({3, 2})}, {}, "a is f32[4,2] and c is f32[3,2], which do not broadcast"},
      {"sub", {f32({4, 2})}, {}, "operand 'c' is missing"},

      {"attention", {f32({1, 4}), f32({1, 4, 4}), f32({1, 4, 4})}, heads, "q has rank 2, [N,L,C] has 3"},
      {"attention", {f32({1, 4, 5}), f32({1, 4, 5}), f32({1, 4, 5})}, heads, "q has 5 channels, which 2 heads do not divide"},
      {"attention",
       {f32({1, 4, 6}), f32({2, 4, 6}), f32({2, 4, 6})},
       heads,
       "k is f32[2,4,6] but q is f32[1,4,6]; batch and channels must be equal"},
      {"attention", {f32({1, 4, 6}), f32({1, 7, 6}), f32({1, 8, 6})}, heads, "v is f32[1,8,6], needs [1,7,6]: the shape of k"},
      {"attention", {f32({1, 4, 6}), f32({1, 7, 6}), f32({1, 7, 6})}, {{"heads", int64_t{0}}}, "heads is 0, must be at least 1"},
      {"attention", {f32({1, 4, 6}), f32({1, 0, 6}), f32({1, 0, 6})}, heads, "k is f32[1,0,6]; it needs at least one token"},

      {"cast", {f32({2})}, {{"to", std::string("f8")}}, "unknown dtype 'f8'; known: f32, f16, bf16, f64, i32, i64, u8, bool"},

      {"conv2d", {f32({8, 8, 4}), filter}, {}, "x has rank 3, [N,H,W,C] has 4"},
      {"conv2d", {image, f32({6, 4})}, {}, "weight has rank 2, [O,C,kh,kw] has 4"},
      {"conv2d", {f32({1, 8, 8, 640}), f32({6, 320, 3, 3})}, {}, "weight has 320 input channels, x has 640"},
      {"conv2d", {image, filter, f32({5})}, {}, "bias is f32[5], needs [6]: one value per output channel"},
      {"conv2d", {image, filter}, {{"padding", Ints{1, 1}}}, "padding has 2 values, needs 4: top, left, bottom, right"},
      {"conv2d", {image, filter}, {{"padding", Ints{1, 1, -1, 1}}}, "padding -1 is negative"},
      {"conv2d", {image, filter}, {{"padding", Ints{1, 1, int64_t{1} << 62, 1}}}, "padding 4611686018427387904 is over 1048576"},
      {"conv2d", {image, filter}, {{"stride", int64_t{0}}}, "stride is 0, must be at least 1"},
      {"conv2d", {f32({1, 2, 2, 4}), filter}, {}, "a filter of 3x3 does not fit into 2x2 padded pixels"},
      {"conv2d", {image, f16({6, 4, 3, 3})}, {}, "weight is f16[6,4,3,3] but x is f32[1,8,8,4]; they must have one dtype"},

      {"conv2d_grad_input",
       {image, filter},
       {{"height", int64_t{8}}, {"width", int64_t{0}}},
       "height and width are 8 and 0, must be 1 to 2147483648"},
      {"conv2d_grad_input",
       {f32({1, 8, 8, 6}), filter},
       {{"height", int64_t{8}}, {"width", int64_t{8}}},
       "d is f32[1,8,8,6], needs [1,6,6,6]: the convolution's result"},
      {"conv2d_grad_input",
       {f32({1, 8, 8, 6}), filter},
       {{"height", int64_t{8}}, {"width", int64_t{8}}, {"stride", int64_t{0}}},
       "stride is 0, must be at least 1"},
      {"conv2d_grad_weight",
       {image, f32({8, 8, 6})},
       {{"kernel_h", int64_t{3}}, {"kernel_w", int64_t{3}}},
       "d has rank 3, [N,OH,OW,O] has 4"},
      {"conv2d_grad_weight",
       {image, f32({1, 8, 8, 6})},
       {{"kernel_h", int64_t{3}}, {"kernel_w", int64_t{3}}},
       "d is f32[1,8,8,6], needs [1,6,6,6]: the convolution's result"},
      {"conv2d_grad_weight",
       {image, f32({1, 8, 8, 6})},
       {{"kernel_h", int64_t{9}}, {"kernel_w", int64_t{3}}},
       "a filter of 9x3 does not fit into 8x8 padded pixels"},

      {"accumulate", {f32({2}), f32({3})}, {}, "x is f32[3], needs [2]: the shape of sum"},
      {"accumulate", {i32({3}), i32({3})}, {}, "sum is i32[3]; it must be floating point"},
      {"adamw", {f32({2}), f32({2}), f32({3}), f32({2}), f32({4})}, {}, "m is f32[3], needs [2]: the shape of p"},
      {"adamw",
       {f32({2}), f32({2}), f32({2}), f32({2}), f32({3})},
       {},
       "hyper is f32[3], needs [4]: learning rate, gradient scale and two corrections of the step"},
      {"adamw", {f32({2}), f32({2}), f32({2}), f32({2}), f32({4})}, {{"beta1", 1.0}}, "beta1 must be at least 0.0 and below 1.0"},
      {"adamw",
       {f32({2}), f32({2}), f32({2}), f32({2}), f32({4})},
       {{"beta2", -0.5}},
       "beta2 must be at least 0.0 and below 1.0"},
      {"adamw8bit", {f32({2}), f32({2}), f32({2}), u8({2}), f32({1}), f32({1}), f32({4})}, {}, "m is f32[2]; codes are u8"},
      {"adamw8bit", {f32({2}), f16({2}), u8({2}), u8({2}), f32({1}), f32({1}), f32({4})}, {}, "g is f16[2]; it must be f32"},
      {"adamw8bit",
       {f32({257}), f32({257}), u8({257}), u8({257}), f32({2}), f32({1}), f32({4})},
       {},
       "v_scale is f32[1], needs [2]: one scale for 256 elements"},
      {"adafactor", {f32({2}), f32({2}), f32({2}), f32({1}), f32({4})}, {}, "p has rank 1, […] has at least 2"},
      {"adafactor",
       {f32({2, 3, 5}), f32({2, 3, 5}), f32({2}), f32({5}), f32({4})},
       {},
       "column is f32[5], needs [15]: one for each column of p as a matrix"},
      {"adafactor",
       {f32({2, 3}), f32({2, 3}), f32({3}), f32({3}), f32({4})},
       {},
       "row is f32[3], needs [2]: one for each row of p as a matrix"},
      {"adafactor", {f32({2, 3}), f32({2, 3}), f32({2}), f32({3}), f32({4})}, {{"clip_rms", 0.0}}, "clip_rms must be above 0"},
      {"adafactor_vector", {f32({2}), f32({2}), f32({3}), f32({4})}, {}, "v is f32[3], needs [2]: the shape of p"},
      {"ema", {f32({2}), f32({3}), f32({1})}, {}, "x is f32[3], needs [2]: the shape of average"},
      {"ema", {f32({2}), f32({2}), f32({2})}, {}, "decay is f32[2], needs [1]: one decay for every element"},
      {"squared_norm", {i32({3})}, {}, kFloatOnly},
      {"gate", {f32({2}), f32({3}), f32({1})}, {{"index", int64_t{0}}}, "y is f32[3], needs [2]: the shape of x"},
      {"gate", {f32({2}), f32({2}), f32({5})}, {{"index", int64_t{5}}}, "index 5 is out of range for 5 gates"},
      {"gate", {f32({2}), f32({2}), f32({5, 1})}, {{"index", int64_t{0}}}, "gates has rank 2, [U] has 1"},
      {"gate", {f32({2}), f32({2}), f16({5})}, {{"index", int64_t{0}}}, "gates is f16[5]; gates are f32 whatever x is"},
      {"gate", {f32({2}), f32({2}), f32({5})}, {}, "attribute 'index' is missing"},

      {"silu_grad", {f32({2, 5}), f32({2, 4})}, {}, "d is f32[2,4], needs [2,5]: the shape of x"},
      {"geglu_grad", {f32({2, 6}), f32({2, 6})}, {}, "d is f32[2,6], needs [2,3]: the shape of geglu(x)"},
      {"geglu_grad", {f32({2, 5}), f32({2, 2})}, {}, "x has 5 channels, needs an even number"},
      {"group_norm_grad_affine",
       {f32({1, 8, 8, 6}), f32({1, 8, 8, 6})},
       groups,
       "x has 6 channels, which 4 groups do not divide"},
      {"group_norm_grad_affine", {f32({1, 8}), f32({2, 8})}, groups, "d is f32[1,8], needs [2,8]: the shape of x"},
      {"group_norm_grad_input",
       {f32({2, 8}), f32({2, 8}), f32({6})},
       groups,
       "weight is f32[6], needs [8]: one value per channel"},
      {"group_norm_grad_input",
       {f32({2, 8}), f32({2, 8}), f32({8})},
       {{"groups", int64_t{0}}},
       "groups is 0, must be at least 1"},
      {"layer_norm_grad_affine", {f32({2, 8}), f32({2, 8})}, {{"eps", -1.0}}, "eps is negative"},
      {"layer_norm_grad_input", {f32({2, 8}), f32({2, 8}), f32({2})}, {}, "weight is f32[2], needs [8]: one value per channel"},
      {"attention_grad",
       {f32({1, 5, 8}), f32({1, 7, 8}), f32({1, 7, 8}), f32({1, 7, 8})},
       heads,
       "d is f32[1,7,8], needs [1,5,8]: the shape of q"},
      {"attention_grad",
       {f32({1, 5, 8}), f32({2, 7, 8}), f32({2, 7, 8}), f32({1, 5, 8})},
       heads,
       "k is f32[2,7,8] but q is f32[1,5,8]; batch and channels must be equal"},
      {"geglu", {f32({2, 5})}, {}, "x has 5 channels, needs an even number"},
      {"geglu", {f32({})}, {}, "x has rank 0, […,2K] has at least 1"},

      {"group_norm", {f32({4}), f32({4}), f32({4})}, groups, "x has rank 1, [N,…,C] has at least 2"},
      {"group_norm", {f32({2, 6}), f32({6}), f32({6})}, groups, "x has 6 channels, which 4 groups do not divide"},
      {"group_norm", {f32({2, 8}), f32({6}), f32({8})}, groups, "weight is f32[6], needs [8]: one value per channel"},
      {"group_norm", {f32({2, 8}), f32({8}), f32({8})}, {{"groups", int64_t{0}}}, "groups is 0, must be at least 1"},
      {"group_norm_silu", {f32({2, 8}), f32({8}), f32({6})}, groups, "bias is f32[6], needs [8]: one value per channel"},
      {"group_norm_silu", {f32({2, 8}), f32({8}), f32({8})}, {{"groups", int64_t{4}}, {"eps", -1.0}}, "eps is negative"},
      {"layer_norm", {f32({2, 8}), f32({6}), f32({8})}, {}, "weight is f32[6], needs [8]: one value per channel"},
      {"layer_norm", {f32({2, 8}), f32({8}), f32({8})}, {{"eps", std::nan("")}}, "eps is not a number"},

      {"linear", {f32({2, 5}), f32({4, 6})}, {}, "weight has 6 input channels, x has 5"},
      {"linear", {f32({2, 5}), f32({4, 5, 3, 3})}, {}, "weight is f32[4,5,3,3], needs [O,K] or [O,K,1,1]"},
      {"linear", {f32({2, 5}), f32({4, 5}), f32({5})}, {}, "bias is f32[5], needs [4]: one value per output channel"},
      {"linear", {f32({}), f32({4, 5})}, {}, "x has rank 0, […,K] has at least 1"},
      {"linear_add",
       {f32({2, 5}), f32({4, 5}), none, f32({2, 5})},
       {},
       "residual is f32[2,5], needs [2,4]: the shape of the product"},
      {"linear_add", {f32({2, 5}), f32({4, 5}), f32({4})}, {}, "operand 'residual' is missing"},
      {"linear_geglu", {f32({2, 5}), f32({7, 5})}, {}, "weight has 7 output channels, needs an even number"},

      {"matmul", {f32({2, 3}), f32({4, 5})}, {}, "a has inner extent 3, b has 4"},
      {"matmul", {f32({2, 3}), f32({5, 4})}, {{"transpose_b", true}}, "a has inner extent 3, b has 4"},
      {"matmul", {f32({3}), f32({3, 4})}, {}, "a has rank 1, […,M,K] has at least 2"},
      {"matmul",
       {f32({2, 3, 4}), f32({3, 4, 5})},
       {},
       "a is f32[2,3,4] and b is f32[3,4,5]; all dimensions but the last two must be equal"},

      {"broadcast", {f32({3})}, {{"shape", Ints{2, 4}}}, "x is f32[3], which does not broadcast to [2,4]"},
      {"broadcast", {f32({2, 3})}, {{"shape", Ints{3}}}, "x is f32[2,3], which does not broadcast to [3]"},
      {"concat",
       {f32({2, 3}), f32({3, 3})},
       {{"axis", int64_t{1}}},
       "parts[1] is f32[3,3] but parts[0] is f32[2,3]; only dimension 1 may differ"},
      {"concat", {f32({2, 3})}, {{"axis", int64_t{2}}}, "axis 2 is out of range for rank 2"},
      {"concat", {f32({}), f32({})}, {{"axis", int64_t{0}}}, "parts have rank 0, which has no axis to join along"},
      {"permute", {f32({2, 3})}, {{"order", Ints{0, 0}}}, "order [0,0] does not name every dimension of x once; x is f32[2,3]"},
      {"reshape", {f32({2, 3})}, {{"shape", Ints{7}}}, "x is f32[2,3] with 6 elements, shape [7] has 7"},
      {"reshape", {f32({2, 3})}, {{"shape", Ints{-2, -3}}}, "shape [-2,-3] has a negative extent"},
      {"reshape", {f32({1})}, {{"shape", Ints{1, 1, 1, 1, 1, 1, 1, 1, 1}}}, "shape has 9 dimensions, at most 8 are allowed"},
      {"reshape",
       {f32({1})},
       {{"shape", Ints{int64_t{1} << 40, int64_t{1} << 40}}},
       "a result of [1099511627776,1099511627776] holds more than 2^48 elements"},
      {"slice",
       {f32({2, 5})},
       {{"axis", int64_t{1}}, {"begin", int64_t{2}}, {"end", int64_t{6}}},
       "[2,6) is not a range of dimension 1, which has 5"},
      {"slice",
       {f32({2, 5})},
       {{"axis", int64_t{-3}}, {"begin", int64_t{0}}, {"end", int64_t{1}}},
       "axis -3 is out of range for rank 2"},

      {"reduce_max", {f32({2, 3})}, {{"axes", Ints{1, -1}}}, "axis -1 is given twice"},
      {"reduce_mean", {f32({2, 3})}, {{"axes", Ints{2}}}, "axis 2 is out of range for rank 2"},
      {"reduce_sum", {f32({})}, {{"axes", Ints{0}}}, "axis 0 is out of range for rank 0"},

      {"timestep_embedding", {f32({2, 1})}, dim, "t has rank 2, [N] has 1"},
      {"timestep_embedding", {f32({2})}, {{"dim", int64_t{1}}}, "dim is 1, must be at least 2"},
      {"timestep_embedding",
       {f32({2})},
       {{"dim", int64_t{8}}, {"freq_shift", 4.0}},
       "freq_shift equals half of dim, so that no frequency is finite"},
      {"timestep_embedding", {f32({2})}, {{"dim", int64_t{8}}, {"max_period", 0.0}}, "max_period must be positive"},

      {"upsample_nearest",
       {f32({1, 2, 2, 3})},
       {{"height", int64_t{0}}, {"width", int64_t{4}}},
       "target is 0x4 pixels, must be at least 1x1"},
      {"upsample_nearest",
       {f32({1, 2, 2, 3})},
       {{"height", int64_t{1} << 62}, {"width", int64_t{1} << 62}},
       "a result of [1,4611686018427387904,4611686018427387904,3] holds more than 2^48 elements"},
      {"upsample_nearest_grad",
       {f32({1, 4, 4, 3})},
       {{"height", int64_t{2}}, {"width", int64_t{0}}},
       "source is 2x0 pixels, must be at least 1x1"},
      {"upsample_nearest", {f32({2, 2, 3})}, {{"height", int64_t{1}}, {"width", int64_t{1}}}, "x has rank 3, [N,H,W,C] has 4"},
  };
}

TEST(OpErrors, name_the_op_the_operand_and_what_it_needs) {
  for (const Row& row : rows()) {
    SCOPED_TRACE(row.op);
    const OpDef* def = ops::find(row.op);
    ASSERT_NE(def, nullptr);
    Graph graph;
    Builder b(graph);
    std::vector<Value> inputs;
    for (const TensorType& type : row.inputs)
      inputs.push_back(type.present() ? b.input("x" + std::to_string(inputs.size()), type) : Value{});
    try {
      b.ops(*def, inputs, row.attrs);
      ADD_FAILURE() << "accepted; expected: " << row.message;
    } catch (const VerifyError& error) {
      EXPECT_EQ(std::string(error.what()), "[" + std::string(row.op) + "] " + row.message);
    }
  }
}

TEST(OpErrors, every_op_has_a_row) {
  std::set<std::string_view> covered;
  for (const Row& row : rows()) covered.insert(row.op);
  for (const OpDef* def : ops::all()) EXPECT_EQ(covered.count(*def->name), 1u) << *def->name;
}

TEST(OpErrors, carry_the_block_path_of_the_builder) {
  Graph graph;
  Builder b(graph);
  const Scope scope(b, "down_blocks.1.resnets.0.conv1");
  try {
    b.op(ops::conv2d_def, {b.input("x", f32({1, 8, 8, 640})), b.param("w", f32({320, 320, 3, 3}))});
    ADD_FAILURE() << "accepted";
  } catch (const VerifyError& error) {
    EXPECT_NE(std::string(error.what()).find("down_blocks.1.resnets.0.conv1"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace espalier
