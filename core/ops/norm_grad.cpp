// group_norm_grad_input, group_norm_grad_affine, layer_norm_grad_input, layer_norm_grad_affine: what the cotangent of a
// normalisation sends into its input, and into weight and bias, which are one result of two rows. The statistics are taken anew
// from x, so that none of them is kept from the forward pass.

#include "core/ops/norm_grad.h"

#include <cmath>

#include "core/ops/movement.h"
#include "core/ops/op_common.h"
#include "core/ops/registry.h"
#include "core/ops/vjp_common.h"

namespace espalier::ops {
namespace {

/// The extents of a normalisation: layer_norm is group_norm of one position and one group for each row.
struct Extents {
  int64_t images, positions, channels, groups;
  int64_t width() const { return channels / groups; }
  int64_t group_of(int64_t element) const { return element / (positions * channels) * groups + element % channels / width(); }
};

Extents of_group(const OpCall& call) {
  const Shape& x = call.inputs[1].shape;
  return {x[0], x[0] == 0 ? 0 : rows_of(x) / x[0], x.back(), call.attrs.i("groups")};
}
Extents of_layer(const OpCall& call) {
  const Shape& x = call.inputs[1].shape;
  return {rows_of(x), 1, x.back(), 1};
}

void need_common(const OpCall& call, int least_rank) {
  need_one_floating_dtype(call);
  need_rank_at_least(call, 1, least_rank);
  need_shape(call, 0, call.inputs[1].shape, "the shape of x");
  if (call.inputs.size() > 2) need_shape(call, 2, {call.inputs[1].shape.back()}, "one value per channel");
  need_eps(call);
}
void need_group(const OpCall& call) {
  need_common(call, 2);
  const int64_t channels = call.inputs[1].shape.back(), groups = call.attrs.i("groups");
  if (groups < 1) refuse(call, "groups is " + std::to_string(groups) + ", must be at least 1");
  if (channels % groups != 0)
    refuse(call, "x has " + std::to_string(channels) + " channels, which " + std::to_string(groups) + " groups do not divide");
}
void need_layer(const OpCall& call) { need_common(call, 1); }

template <void (*Need)(const OpCall&)>
std::vector<TensorType> infer_input(const OpCall& call) {
  Need(call);
  return {call.inputs[1]};
}
template <void (*Need)(const OpCall&)>
std::vector<TensorType> infer_affine(const OpCall& call) {
  Need(call);
  return one_result(call, call.inputs[1].dtype, {2, call.inputs[1].shape.back()});
}

Cost cost_input(const OpCall& call) { return streaming_cost(call, 14); }
Cost cost_affine(const OpCall& call) {
  Cost cost = streaming_cost(call, 0);
  cost.other_flops = 8.0 * static_cast<double>(call.inputs[1].shape.elements());
  return cost;
}

/// Mean and 1/√(var + eps) of each group of each image.
struct Statistics {
  std::vector<double> mean, scale;
};

/// Σ f(element) over the elements of each group.
template <typename F>
std::vector<double> sums(const Extents& e, F&& f) {
  std::vector<double> total(static_cast<size_t>(e.images * e.groups), 0.0);
  for (int64_t i = 0; i < e.images * e.positions * e.channels; ++i) total[static_cast<size_t>(e.group_of(i))] += f(i);
  return total;
}

Statistics statistics(const Extents& e, const double* x, double eps) {
  const double count = static_cast<double>(e.positions * e.width());
  Statistics s;
  s.mean = sums(e, [&](int64_t i) { return x[i]; });
  for (double& mean : s.mean) mean /= count;
  s.scale = sums(e, [&](int64_t i) {
    const double away = x[i] - s.mean[static_cast<size_t>(e.group_of(i))];
    return away * away;
  });
  for (double& scale : s.scale) scale = 1.0 / std::sqrt(scale / count + eps);
  return s;
}

template <Extents (*Of)(const OpCall&)>
void reference_input(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const Extents e = Of(call);
  const double *d = in[0].data.data(), *x = in[1].data.data(), *weight = in[2].data.data();
  const Statistics s = statistics(e, x, call.attrs.f("eps"));
  const double count = static_cast<double>(e.positions * e.width());
  const auto d_normal = [&](int64_t i) { return d[i] * weight[i % e.channels]; };
  const auto normal = [&](int64_t i) {
    const auto g = static_cast<size_t>(e.group_of(i));
    return (x[i] - s.mean[g]) * s.scale[g];
  };
  const std::vector<double> level = sums(e, d_normal), slope = sums(e, [&](int64_t i) { return d_normal(i) * normal(i); });
  out[0].fill([&](int64_t i) {
    const auto g = static_cast<size_t>(e.group_of(i));
    return (d_normal(i) - level[g] / count - normal(i) * slope[g] / count) * s.scale[g];
  });
}

template <Extents (*Of)(const OpCall&)>
void reference_affine(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const Extents e = Of(call);
  const double *d = in[0].data.data(), *x = in[1].data.data();
  const Statistics s = statistics(e, x, call.attrs.f("eps"));
  out[0].fill([&](int64_t at) {
    double sum = 0;
    for (int64_t i = at % e.channels; i < e.images * e.positions * e.channels; i += e.channels) {
      const auto g = static_cast<size_t>(e.group_of(i));
      sum += at < e.channels ? d[i] * (x[i] - s.mean[g]) * s.scale[g] : d[i];
    }
    return sum;
  });
}

template <Extents (*Of)(const OpCall&)>
Normalisation normalisation(const OpCall& call, std::span<const Value> in) {
  const Extents e = Of(call);
  Normalisation norm{in[0], in[1], in.size() > 2 ? in[2] : Value{}, call.attrs.f("eps"), {}, {1}};
  norm.view = Shape{e.images, e.channels};
  if (Of == of_layer) return norm;
  norm.view = Shape{e.images, e.positions, e.groups, e.width()};
  norm.axes = {1, 3};
  return norm;
}
template <Extents (*Of)(const OpCall&)>
Value decompose_input(Builder& b, const OpCall& call, std::span<const Value> in) {
  return norm_grad_input(b, normalisation<Of>(call, in));
}
template <Extents (*Of)(const OpCall&)>
Value decompose_affine(Builder& b, const OpCall& call, std::span<const Value> in) {
  return norm_grad_affine(b, normalisation<Of>(call, in));
}

Sample sample(const Shape& x, bool weight, Attrs attrs) {
  Sample made{.inputs = {f32(x), f32(x)}, .attrs = std::move(attrs)};
  if (weight) made.inputs.push_back(f32({x.back()}));
  return made;
}
template <bool Weight>
std::vector<Sample> group_samples() {
  const auto attrs = [](int64_t groups, double eps) { return Attrs{{"groups", groups}, {"eps", eps}}; };
  return {sample({2, 5, 3, 12}, Weight, attrs(4, 1e-5)), sample({3, 8}, Weight, attrs(2, 1e-3)),
          sample({1, 1, 1, 6}, Weight, attrs(3, 1e-5)), sample({2, 7, 13, 40}, Weight, attrs(8, 1e-5)),
          sample({2, 16, 16, 64}, Weight, attrs(32, 1e-5))};
}
template <bool Weight>
std::vector<Sample> layer_samples() {
  const auto attrs = [](double eps) { return Attrs{{"eps", eps}}; };
  return {sample({2, 3, 7}, Weight, attrs(1e-5)), sample({5}, Weight, attrs(1e-5)), sample({3, 1}, Weight, attrs(1e-3)),
          sample({2, 77, 64}, Weight, attrs(1e-5)), sample({130, 320}, Weight, attrs(1e-3))};
}

const OperandSpec kCotangent{"d", "N,…,C"}, kRowCotangent{"d", "…,C"};
const AttrSpec kGroups{"groups", int64_t{32}, "number of channel groups, divides C", true},
    kEps{"eps", 1e-5, "added to the variance"};

/// d_weight and d_bias as values of their own.
std::vector<Value> rows_of_affine(Builder& b, Value affine) {
  const int64_t channels = b.shape(affine).back();
  const Value d_weight = reshape(b, slice(b, affine, 0, 0, 1), {channels});
  return {d_weight, reshape(b, slice(b, affine, 0, 1, 2), {channels})};
}

}  // namespace

const OpDef group_norm_grad_affine_def{
    .name = "group_norm_grad_affine",
    .summary = "Cotangents of the weight and bias of group_norm, one row each.",
    .formula = "y[0,c] = Σ d · x̂, y[1,c] = Σ d over all but c, x̂ = (x - mean) / √(var + eps) of the group",
    .inputs = std::vector<OperandSpec>{kCotangent, {"x", "N,…,C"}},
    .attrs = std::vector<AttrSpec>{kGroups, kEps},
    .infer = infer_affine<need_group>,
    .decompose = DecomposeFn(decompose_affine<of_group>),
    .vjp = ThroughParts{},
    .cost = cost_affine,
    .reference = reference_affine<of_group>,
    .samples = group_samples<false>};

const OpDef group_norm_grad_input_def{
    .name = "group_norm_grad_input",
    .summary = "Cotangent of the input of group_norm.",
    .formula = "y = (dx̂ - mean dx̂ - x̂ · mean(dx̂ · x̂)) / √(var + eps), dx̂ = d · weight[c], means over the group",
    .inputs = std::vector<OperandSpec>{kCotangent, {"x", "N,…,C"}, {"weight", "C"}},
    .attrs = std::vector<AttrSpec>{kGroups, kEps},
    .infer = infer_input<need_group>,
    .decompose = DecomposeFn(decompose_input<of_group>),
    .vjp = ThroughParts{},
    .cost = cost_input,
    .reference = reference_input<of_group>,
    .samples = group_samples<true>};

const OpDef layer_norm_grad_affine_def{
    .name = "layer_norm_grad_affine",
    .summary = "Cotangents of the weight and bias of layer_norm, one row each.",
    .formula = "y[0,c] = Σ d · x̂, y[1,c] = Σ d over all rows, x̂ = (x - mean) / √(var + eps) of the row",
    .inputs = std::vector<OperandSpec>{kRowCotangent, {"x", "…,C"}},
    .attrs = std::vector<AttrSpec>{kEps},
    .infer = infer_affine<need_layer>,
    .decompose = DecomposeFn(decompose_affine<of_layer>),
    .vjp = ThroughParts{},
    .cost = cost_affine,
    .reference = reference_affine<of_layer>,
    .samples = layer_samples<false>};

const OpDef layer_norm_grad_input_def{
    .name = "layer_norm_grad_input",
    .summary = "Cotangent of the input of layer_norm.",
    .formula = "y = (dx̂ - mean dx̂ - x̂ · mean(dx̂ · x̂)) / √(var + eps), dx̂ = d · weight[c], means over the row",
    .inputs = std::vector<OperandSpec>{kRowCotangent, {"x", "…,C"}, {"weight", "C"}},
    .attrs = std::vector<AttrSpec>{kEps},
    .infer = infer_input<need_layer>,
    .decompose = DecomposeFn(decompose_input<of_layer>),
    .vjp = ThroughParts{},
    .cost = cost_input,
    .reference = reference_input<of_layer>,
    .samples = layer_samples<true>};

std::vector<Value> group_norm_grads(Builder& b, Value d, Value x, Value weight, int64_t groups, double eps) {
  const Attrs attrs{{"groups", groups}, {"eps", eps}};
  const Value d_x = b.op(group_norm_grad_input_def, {d, x, weight}, attrs);
  const std::vector<Value> affine = rows_of_affine(b, b.op(group_norm_grad_affine_def, {d, x}, attrs));
  return {d_x, affine[0], affine[1]};
}

std::vector<Value> layer_norm_grads(Builder& b, Value d, Value x, Value weight, double eps) {
  const Attrs attrs{{"eps", eps}};
  const Value d_x = b.op(layer_norm_grad_input_def, {d, x, weight}, attrs);
  const std::vector<Value> affine = rows_of_affine(b, b.op(layer_norm_grad_affine_def, {d, x}, attrs));
  return {d_x, affine[0], affine[1]};
}

}  // namespace espalier::ops
