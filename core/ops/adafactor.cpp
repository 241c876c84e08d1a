// adafactor, adafactor_vector: steps whose second moment is kept as a row and a column (of a matrix), or whole (of a vector).
// Differs from PyTorch's for more than two dimensions only: a convolution is [out, the rest] here, not factored over its 3x3.

#include "core/ops/adafactor.h"

#include <algorithm>
#include <cmath>

#include "core/ops/optimizer_common.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

int64_t columns_of(const Shape& shape) { return shape.elements() / shape[0]; }

void need_options(const OpCall& call) {
  need_eps(call);
  for (const char* name : {"min_rms", "clip_rms"})
    if (!(call.attrs.f(name) > 0)) refuse(call, std::string(name) + " must be above 0");
}

std::vector<TensorType> infer_matrix(const OpCall& call) {
  need_one_floating_dtype(call);
  need_rank_at_least(call, 0, 2);
  const Shape& shape = call.inputs[0].shape;
  need_shape(call, 1, shape, "the shape of p");
  need_shape(call, 2, {shape[0]}, "one for each row of p as a matrix");
  need_shape(call, 3, {columns_of(shape)}, "one for each column of p as a matrix");
  need_hyper(call, 4);
  need_options(call);
  return {call.inputs[0], call.inputs[2], call.inputs[3]};
}

std::vector<TensorType> infer_vector(const OpCall& call) {
  need_one_floating_dtype(call);
  for (size_t i : {1, 2}) need_shape(call, i, call.inputs[0].shape, "the shape of p");
  need_hyper(call, 3);
  need_options(call);
  return {call.inputs[0], call.inputs[2]};
}

Cost cost(const OpCall& call) { return streaming_cost(call, 6); }

double root_mean_square(const std::vector<double>& x) {
  return std::sqrt(dot(x.data(), x.data(), static_cast<int64_t>(x.size())) / static_cast<double>(x.size()));
}

/// p after the step, from the estimate of the second moment of each element.
template <typename Moment>
std::vector<double> stepped(const OpCall& call, std::span<const double> p, std::span<const double> g,
                            std::span<const double> hyper, Moment&& moment) {
  const double eps = call.attrs.f("eps"), keep = 1 - hyper[kLr] * call.attrs.f("weight_decay");
  std::vector<double> now(p.begin(), p.end()), update(p.size());
  const double size = std::max(call.attrs.f("min_rms"), root_mean_square(now)) * hyper[kSecond];
  for (size_t i = 0; i < p.size(); ++i) update[i] = g[i] * hyper[kGradScale] / std::sqrt(std::max(moment(i), eps * eps));
  const double step = size / std::max(1.0, root_mean_square(update) / call.attrs.f("clip_rms"));
  for (size_t i = 0; i < p.size(); ++i) now[i] = now[i] * keep - step * update[i];
  return now;
}

void store(RefResult& out, const std::vector<double>& values) {
  out.fill([&](int64_t i) { return values[static_cast<size_t>(i)]; });
}

void reference_matrix(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const std::span<const double> g = in[1].data, hyper = in[4].data;
  const auto rows = in[2].data.size(), columns = in[3].data.size();
  const double newest = hyper[kFirst], scale = hyper[kGradScale];
  std::vector<double> row(rows), column(columns);
  for (size_t r = 0; r < rows; ++r)
    for (size_t c = 0; c < columns; ++c) {
      const double square = g[r * columns + c] * g[r * columns + c] * scale * scale;
      row[r] += square / static_cast<double>(columns);
      column[c] += square / static_cast<double>(rows);
    }
  double mean = 0;
  for (size_t r = 0; r < rows; ++r) {
    row[r] = in[2].data[r] + newest * (row[r] - in[2].data[r]);
    mean += row[r] / static_cast<double>(rows);
  }
  for (size_t c = 0; c < columns; ++c) column[c] = in[3].data[c] + newest * (column[c] - in[3].data[c]);
  mean = std::max(mean, call.attrs.f("eps"));
  store(out[0], stepped(call, in[0].data, g, hyper, [&](size_t i) { return row[i / columns] * column[i % columns] / mean; }));
  store(out[1], row);
  store(out[2], column);
}

void reference_vector(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const std::span<const double> g = in[1].data, hyper = in[3].data;
  std::vector<double> v(in[2].data.begin(), in[2].data.end());
  for (size_t i = 0; i < v.size(); ++i) {
    const double scaled = g[i] * hyper[kGradScale];
    v[i] += hyper[kFirst] * (scaled * scaled - v[i]);
  }
  store(out[0], stepped(call, in[0].data, g, hyper, [&](size_t i) { return v[i]; }));
  store(out[1], v);
}

Sample matrix(const Shape& shape, double weight_decay) {
  return {.inputs = {f32(shape), f32(shape), f32({shape[0]}), f32({columns_of(shape)}), f32({4})},
          .attrs = {{"weight_decay", weight_decay}},
          .fills = {Fill::kNormal, Fill::kNormal, Fill::kPositive, Fill::kPositive, Fill::kPositive}};
}
Sample vector(const Shape& shape, double weight_decay) {
  return {.inputs = {f32(shape), f32(shape), f32(shape), f32({4})},
          .attrs = {{"weight_decay", weight_decay}, {"clip_rms", 0.5}},
          .fills = {Fill::kNormal, Fill::kNormal, Fill::kPositive, Fill::kPositive}};
}

std::vector<Sample> matrix_samples() {
  return {matrix({3, 5}, 1e-2), matrix({1, 1}, 0), matrix({7, 3, 3, 3}, 0), matrix({40, 1001}, 0.5)};
}
std::vector<Sample> vector_samples() { return {vector({7}, 1e-2), vector({1}, 0), vector({20011}, 0.5)}; }

std::vector<AttrSpec> attrs() {
  return {{"eps", 1.1920928955078125e-07, "second moments are at least its square"},
          {"min_rms", 1e-3, "the least root mean square that p counts as having"},
          {"clip_rms", 1.0, "the largest root mean square of an update, times the step size"},
          {"weight_decay", 0.0, "share of p that goes, times lr"}};
}

Attrs options_of(const Adafactor& o) {
  return {{"eps", o.eps}, {"min_rms", o.min_rms}, {"clip_rms", o.clip_rms}, {"weight_decay", o.weight_decay}};
}

}  // namespace

const OpDef adafactor_def{
    .name = "adafactor",
    .summary = "One step of Adafactor on one tensor as a matrix [first extent, the rest], in place.",
    .formula =
        "row, column: means of g² with decay; v = row · columnᵀ / mean(row); u = g / √v; "
        "p *= 1 - lr · weight_decay; p -= max(min_rms, rms(p)) · ρ · u / max(1, rms(u) / clip_rms); matches "
        "torch.optim.Adafactor",
    .inputs = std::vector<OperandSpec>{{"p", "…"}, {"g", "…"}, {"row", "R"}, {"column", "C"}, {"hyper", "4"}},
    .attrs = attrs(),
    .infer = infer_matrix,
    .decompose = Primitive{},
    .vjp = NonDifferentiable{"it updates state in place"},
    .cost = cost,
    .reference = reference_matrix,
    .samples = matrix_samples,
    .aliases = {{0, 0}, {1, 2}, {2, 3}}};

const OpDef adafactor_vector_def{.name = "adafactor_vector",
                                 .summary = "One step of Adafactor on one tensor that keeps its second moment whole, in place.",
                                 .formula = "v: g² with decay, then as adafactor; matches torch.optim.Adafactor on a vector",
                                 .inputs = std::vector<OperandSpec>{{"p", "…"}, {"g", "…"}, {"v", "…"}, {"hyper", "4"}},
                                 .attrs = attrs(),
                                 .infer = infer_vector,
                                 .decompose = Primitive{},
                                 .vjp = NonDifferentiable{"it updates state in place"},
                                 .cost = cost,
                                 .reference = reference_vector,
                                 .samples = vector_samples,
                                 .aliases = {{0, 0}, {1, 2}}};

AdafactorState adafactor(Builder& b, const AdafactorState& state, Value gradient, Value hyper, const Adafactor& options) {
  const std::vector<Value> now = b.ops(adafactor_def, {state.p, gradient, state.row, state.column, hyper}, options_of(options));
  return {now[0], now[1], now[2]};
}

AdafactorVectorState adafactor_vector(Builder& b, const AdafactorVectorState& state, Value gradient, Value hyper,
                                      const Adafactor& options) {
  const std::vector<Value> now = b.ops(adafactor_vector_def, {state.p, gradient, state.v, hyper}, options_of(options));
  return {now[0], now[1]};
}

}  // namespace espalier::ops
