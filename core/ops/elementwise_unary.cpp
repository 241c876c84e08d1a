// abs, cos, erf, exp, log, neg, rsqrt, sin, sqrt, square: one double in, one double out.

#include "core/ops/elementwise_unary.h"

#include <cmath>

#include "core/ops/op_common.h"
#include "core/ops/registry.h"

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

OpDef unary(std::string_view name, std::string_view summary, std::string_view formula, ReferenceFn reference, SamplesFn samples) {
  return {.name = name,
          .summary = summary,
          .formula = formula,
          .inputs = std::vector<OperandSpec>{{"x", "…"}},
          .attrs = std::vector<AttrSpec>{},
          .infer = infer,
          .decompose = Primitive{},
          .cost = cost,
          .reference = reference,
          .samples = samples};
}

constexpr SamplesFn kAnySign = samples<Fill::kNormal>;
constexpr SamplesFn kPositive = samples<Fill::kPositive>;

}  // namespace

const OpDef abs_def = unary("abs", "Absolute value.", "y = |x|; matches torch.abs", reference<abs_of>, kAnySign);
const OpDef cos_def = unary("cos", "Cosine of radians.", "y = cos x; matches torch.cos", reference<cos_of>, kAnySign);
const OpDef erf_def = unary("erf", "Error function.", "y = erf x; matches torch.erf", reference<erf_of>, kAnySign);
const OpDef exp_def = unary("exp", "Exponential.", "y = exp x; matches torch.exp", reference<exp_of>, kAnySign);
const OpDef log_def = unary("log", "Natural logarithm.", "y = ln x; matches torch.log", reference<log_of>, kPositive);
const OpDef neg_def = unary("neg", "Negation.", "y = -x; matches torch.neg", reference<neg_of>, kAnySign);
const OpDef rsqrt_def =
    unary("rsqrt", "Reciprocal of the square root.", "y = 1 / √x; matches torch.rsqrt", reference<rsqrt_of>, kPositive);
const OpDef sin_def = unary("sin", "Sine of radians.", "y = sin x; matches torch.sin", reference<sin_of>, kAnySign);
const OpDef sqrt_def = unary("sqrt", "Square root.", "y = √x; matches torch.sqrt", reference<sqrt_of>, kPositive);
const OpDef square_def = unary("square", "Square.", "y = x²; matches torch.square", reference<square_of>, kAnySign);

Value abs(Builder& b, Value x) { return b.op(abs_def, {x}); }
Value cos(Builder& b, Value x) { return b.op(cos_def, {x}); }
Value erf(Builder& b, Value x) { return b.op(erf_def, {x}); }
Value exp(Builder& b, Value x) { return b.op(exp_def, {x}); }
Value log(Builder& b, Value x) { return b.op(log_def, {x}); }
Value neg(Builder& b, Value x) { return b.op(neg_def, {x}); }
Value rsqrt(Builder& b, Value x) { return b.op(rsqrt_def, {x}); }
Value sin(Builder& b, Value x) { return b.op(sin_def, {x}); }
Value sqrt(Builder& b, Value x) { return b.op(sqrt_def, {x}); }
Value square(Builder& b, Value x) { return b.op(square_def, {x}); }

}  // namespace espalier::ops
