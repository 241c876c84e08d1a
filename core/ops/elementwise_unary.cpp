// abs, cos, erf, exp, log, neg, rsqrt, sign, sin, sqrt, square: one double in, one double out.

#include "core/ops/elementwise_unary.h"

#include <cmath>

#include "core/ops/elementwise_binary.h"
#include "core/ops/op_common.h"
#include "core/ops/registry.h"
#include "core/ops/vjp_common.h"

namespace espalier::ops {
namespace {

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  return {call.inputs[0]};
}

Cost cost(const OpCall& call) { return streaming_cost(call, 1); }

double abs_of(double x) { return std::fabs(x); }
double cos_of(double x) { return std::cos(x); }
double erf_of(double x) { return std::erf(x); }
double exp_of(double x) { return std::exp(x); }
double log_of(double x) { return std::log(x); }
double neg_of(double x) { return -x; }
double rsqrt_of(double x) { return 1.0 / std::sqrt(x); }
double sign_of(double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : x; }
double sin_of(double x) { return std::sin(x); }
double sqrt_of(double x) { return std::sqrt(x); }
double square_of(double x) { return x * x; }

template <double (*F)(double)>
void reference(const OpCall&, std::span<const RefTensor> in, std::span<RefResult> out) {
  const std::span<const double> x = in[0].data;
  out[0].fill([&](int64_t i) { return F(x[static_cast<size_t>(i)]); });
}

template <Fill kFill>
std::vector<Sample> samples() {
  std::vector<Sample> all{
      {.inputs = {f32({2, 3, 5, 7})}}, {.inputs = {f32({1})}}, {.inputs = {f32({})}}, {.inputs = {f32({3, 1024})}}};
  for (Sample& sample : all) sample.fills = {kFill};
  return all;
}

/// A gradient rule from the derivative at x, as a function of x and of y = f(x).
template <Value (*kSlope)(Builder&, Value x, Value y)>
std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) {
  return {mul(b, d, kSlope(b, primal.inputs[0], primal.result))};
}
Value abs_slope(Builder& b, Value x, Value) { return sign(b, x); }
Value cos_slope(Builder& b, Value x, Value) { return neg(b, sin(b, x)); }
Value erf_slope(Builder& b, Value x, Value) { return scaled(b, exp(b, neg(b, square(b, x))), 1.12837916709551257390); }  // 2/√π
Value exp_slope(Builder&, Value, Value y) { return y; }
Value rsqrt_slope(Builder& b, Value, Value y) { return scaled(b, mul(b, y, square(b, y)), -0.5); }
Value sin_slope(Builder& b, Value x, Value) { return cos(b, x); }
Value square_slope(Builder& b, Value x, Value) { return scaled(b, x, 2); }
std::vector<Value> log_vjp(Builder& b, const Primal& primal, Value d) { return {div(b, d, primal.inputs[0])}; }
std::vector<Value> neg_vjp(Builder& b, const Primal&, Value d) { return {neg(b, d)}; }
std::vector<Value> sqrt_vjp(Builder& b, const Primal& primal, Value d) { return {div(b, scaled(b, d, 0.5), primal.result)}; }
// Zero wherever there is a derivative.
std::vector<Value> sign_vjp(Builder&, const Primal&, Value) { return {Value{}}; }

OpDef unary(std::string_view name, std::string_view summary, std::string_view formula, ReferenceFn reference, VjpFn vjp,
            SamplesFn samples) {
  return {.name = name,
          .summary = summary,
          .formula = formula,
          .inputs = std::vector<OperandSpec>{{"x", "…"}},
          .attrs = std::vector<AttrSpec>{},
          .infer = infer,
          .decompose = Primitive{},
          .vjp = vjp,
          .cost = cost,
          .reference = reference,
          .samples = samples};
}

constexpr SamplesFn kAnySign = samples<Fill::kNormal>;
constexpr SamplesFn kPositive = samples<Fill::kPositive>;

}  // namespace

const OpDef abs_def = unary("abs", "Absolute value.", "y = |x|; matches torch.abs", reference<abs_of>, vjp<abs_slope>, kAnySign);
const OpDef cos_def =
    unary("cos", "Cosine of radians.", "y = cos x; matches torch.cos", reference<cos_of>, vjp<cos_slope>, kAnySign);
const OpDef erf_def =
    unary("erf", "Error function.", "y = erf x; matches torch.erf", reference<erf_of>, vjp<erf_slope>, kAnySign);
const OpDef exp_def = unary("exp", "Exponential.", "y = exp x; matches torch.exp", reference<exp_of>, vjp<exp_slope>, kAnySign);
const OpDef log_def = unary("log", "Natural logarithm.", "y = ln x; matches torch.log", reference<log_of>, log_vjp, kPositive);
const OpDef neg_def = unary("neg", "Negation.", "y = -x; matches torch.neg", reference<neg_of>, neg_vjp, kAnySign);
const OpDef rsqrt_def = unary("rsqrt", "Reciprocal of the square root.", "y = 1 / √x; matches torch.rsqrt", reference<rsqrt_of>,
                              vjp<rsqrt_slope>, kPositive);
const OpDef sign_def = unary("sign", "Sign: -1, 0 or 1; NaN stays.", "y = x / |x|, 0 at 0; matches torch.sign",
                             reference<sign_of>, sign_vjp, kAnySign);
const OpDef sin_def =
    unary("sin", "Sine of radians.", "y = sin x; matches torch.sin", reference<sin_of>, vjp<sin_slope>, kAnySign);
const OpDef sqrt_def = unary("sqrt", "Square root.", "y = √x; matches torch.sqrt", reference<sqrt_of>, sqrt_vjp, kPositive);
const OpDef square_def =
    unary("square", "Square.", "y = x²; matches torch.square", reference<square_of>, vjp<square_slope>, kAnySign);

Value abs(Builder& b, Value x) { return b.op(abs_def, {x}); }
Value cos(Builder& b, Value x) { return b.op(cos_def, {x}); }
Value erf(Builder& b, Value x) { return b.op(erf_def, {x}); }
Value exp(Builder& b, Value x) { return b.op(exp_def, {x}); }
Value log(Builder& b, Value x) { return b.op(log_def, {x}); }
Value neg(Builder& b, Value x) { return b.op(neg_def, {x}); }
Value rsqrt(Builder& b, Value x) { return b.op(rsqrt_def, {x}); }
Value sign(Builder& b, Value x) { return b.op(sign_def, {x}); }
Value sin(Builder& b, Value x) { return b.op(sin_def, {x}); }
Value sqrt(Builder& b, Value x) { return b.op(sqrt_def, {x}); }
Value square(Builder& b, Value x) { return b.op(square_def, {x}); }

}  // namespace espalier::ops
