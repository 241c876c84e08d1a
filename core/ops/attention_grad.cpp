// attention_grad: the cotangents of q, k and v as one result, joined along the tokens. The weights of the softmax are computed
// anew from q and k, so that no matrix of scores is kept from the forward pass.

#include "core/ops/attention_grad.h"

#include <algorithm>
#include <cmath>

#include "core/ops/elementwise_binary.h"
#include "core/ops/matmul.h"
#include "core/ops/movement.h"
#include "core/ops/op_common.h"
#include "core/ops/reduce.h"
#include "core/ops/registry.h"
#include "core/ops/softmax.h"

namespace espalier::ops {
namespace {

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  for (size_t i = 0; i < 3; ++i) need_rank(call, i, 3);
  const Shape &q = call.inputs[0].shape, &k = call.inputs[1].shape;
  const int64_t heads = call.attrs.i("heads");
  if (heads < 1) refuse(call, "heads is " + std::to_string(heads) + ", must be at least 1");
  if (q[2] % heads != 0)
    refuse(call, "q has " + std::to_string(q[2]) + " channels, which " + std::to_string(heads) + " heads do not divide");
  if (k[0] != q[0] || k[2] != q[2])
    refuse(call, operand(call, 1) + " but " + operand(call, 0) + "; batch and channels must be equal");
  if (k[1] < 1) refuse(call, operand(call, 1) + "; it needs at least one token");
  need_shape(call, 2, k, "the shape of k");
  need_shape(call, 3, q, "the shape of q");
  return one_result(call, call.inputs[0].dtype, {q[0], q[1] + 2 * k[1], q[2]});
}

Cost cost(const OpCall& call) {
  const Shape &q = call.inputs[0].shape, &k = call.inputs[1].shape;
  const double scores = static_cast<double>(q[0] * call.attrs.i("heads") * q[1] * k[1]);
  Cost cost = streaming_cost(call, 0);
  cost.flops = 10.0 * static_cast<double>(q.elements()) * static_cast<double>(k[1]);  // q kᵀ, d vᵀ, and one for each result
  cost.other_flops = 11.0 * scores;
  return cost;
}

/// The cotangents of one head of one image: rows of q, then of k, then of v, each of d numbers.
std::vector<double> head_of(const OpCall& call, std::span<const RefTensor> in, int64_t n, int64_t head) {
  const Shape& q = call.inputs[0].shape;
  const int64_t keys = call.inputs[1].shape[1], width = q[2], d = width / call.attrs.i("heads");
  const double scale = 1.0 / std::sqrt(static_cast<double>(d));
  const double *key = in[1].data.data() + n * keys * width + head * d, *value = in[2].data.data() + n * keys * width + head * d;
  std::vector<double> made(static_cast<size_t>((q[1] + 2 * keys) * d), 0.0), p(static_cast<size_t>(keys)), d_p(p.size());
  double *d_q = made.data(), *d_k = d_q + q[1] * d, *d_v = d_k + keys * d;
  for (int64_t row = 0; row < q[1]; ++row) {
    const int64_t at = (n * q[1] + row) * width + head * d;
    const double *query = in[0].data.data() + at, *cotangent = in[3].data.data() + at;
    for (int64_t s = 0; s < keys; ++s) p[static_cast<size_t>(s)] = scale * dot(query, key + s * width, d);
    const double maximum = *std::max_element(p.begin(), p.end());
    double total = 0, mean = 0;
    for (double& each : p) total += each = std::exp(each - maximum);
    for (int64_t s = 0; s < keys; ++s) {
      p[static_cast<size_t>(s)] /= total;
      d_p[static_cast<size_t>(s)] = dot(cotangent, value + s * width, d);
      mean += p[static_cast<size_t>(s)] * d_p[static_cast<size_t>(s)];
    }
    for (int64_t s = 0; s < keys; ++s) {
      const double weight = p[static_cast<size_t>(s)], slope = weight * (d_p[static_cast<size_t>(s)] - mean) * scale;
      for (int64_t c = 0; c < d; ++c) {
        d_q[row * d + c] += slope * key[s * width + c];
        d_k[s * d + c] += slope * query[c];
        d_v[s * d + c] += weight * cotangent[c];
      }
    }
  }
  return made;
}

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const Shape& all = out[0].type.shape;
  const int64_t heads = call.attrs.i("heads"), d = all[2] / heads;
  std::vector<std::vector<double>> known(static_cast<size_t>(all[0] * heads));
  out[0].fill([&](int64_t i) {
    const int64_t c = i % all[2], row = i / all[2] % all[1], n = i / (all[2] * all[1]);
    std::vector<double>& made = known[static_cast<size_t>(n * heads + c / d)];
    if (made.empty()) made = head_of(call, in, n, c / d);
    return made[static_cast<size_t>(row * d + c % d)];
  });
}

Value decompose(Builder& b, const OpCall& call, std::span<const Value> in) {
  const Shape &q = call.inputs[0].shape, &k = call.inputs[1].shape;
  const int64_t n = q[0], heads = call.attrs.i("heads"), d = q[2] / heads;
  const auto per_head = [&](Value x, int64_t tokens) { return permute(b, reshape(b, x, {n, tokens, heads, d}), {0, 2, 1, 3}); };
  const auto joined = [&](Value x, const Shape& shape) { return reshape(b, permute(b, x, {0, 2, 1, 3}), shape); };
  const Value scale = b.constant({call.inputs[0].dtype, Shape{}}, {1.0 / std::sqrt(static_cast<double>(d))});
  const Value query = per_head(in[0], q[1]), key = per_head(in[1], k[1]), value = per_head(in[2], k[1]);
  const Value cotangent = per_head(in[3], q[1]);
  const Value weights = softmax(b, mul(b, matmul(b, query, key, {.transpose_b = true}), scale));
  const Value d_value = matmul(b, weights, cotangent, {.transpose_a = true});
  const Value d_weights = matmul(b, cotangent, value, {.transpose_b = true});
  const Value away = sub(b, d_weights, reduce_sum(b, mul(b, weights, d_weights), {-1}, true));
  const Value d_scores = mul(b, mul(b, weights, away), scale);
  const Value d_query = matmul(b, d_scores, key);
  const Value d_key = matmul(b, d_scores, query, {.transpose_a = true});
  // One by one: the order in which nested calls emit nodes would be the compiler's choice.
  const Value q_rows = joined(d_query, q), k_rows = joined(d_key, k), v_rows = joined(d_value, k);
  return concat(b, {q_rows, k_rows, v_rows}, 1);
}

Sample sample(int64_t n, int64_t queries, int64_t keys, int64_t heads, int64_t d) {
  const Shape query{n, queries, heads * d}, key{n, keys, heads * d};
  return {.inputs = {f32(query), f32(key), f32(key), f32(query)}, .attrs = {{"heads", heads}}};
}

std::vector<Sample> samples() {
  return {sample(2, 5, 7, 3, 4), sample(1, 1, 1, 1, 1),   sample(2, 9, 77, 2, 8),    sample(1, 50, 333, 2, 40),
          sample(2, 3, 1, 4, 5), sample(1, 6, 6, 1, 160), sample(2, 100, 77, 5, 64), sample(1, 130, 130, 2, 64)};
}

}  // namespace

const OpDef attention_grad_def{
    .name = "attention_grad",
    .summary = "Cotangents of q, k and v of attention, joined along the tokens.",
    .formula =
        "y = [dq; dk; dv] per head: p = softmax(q kᵀ / √d), ds = p ∘ (d vᵀ - Σ p ∘ d vᵀ) / √d; dq = ds k, dk = dsᵀ q, "
        "dv = pᵀ d",
    .inputs = std::vector<OperandSpec>{{"q", "N,L,C"}, {"k", "N,S,C"}, {"v", "N,S,C"}, {"d", "N,L,C"}},
    .attrs = std::vector<AttrSpec>{{"heads", int64_t{1}, "number of heads, consecutive runs of C/heads channels", true}},
    .infer = infer,
    .decompose = DecomposeFn(decompose),
    .vjp = ThroughParts{},
    .cost = cost,
    .reference = reference,
    .samples = samples};

std::vector<Value> attention_grads(Builder& b, Value q, Value k, Value v, Value d, int64_t heads) {
  const int64_t queries = b.shape(q)[1], keys = b.shape(k)[1];
  const Value all = b.op(attention_grad_def, {q, k, v, d}, {{"heads", heads}});
  const Value d_q = slice(b, all, 1, 0, queries), d_k = slice(b, all, 1, queries, queries + keys);
  return {d_q, d_k, slice(b, all, 1, queries + keys, queries + 2 * keys)};
}

}  // namespace espalier::ops
