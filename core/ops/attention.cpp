// attention: scaled dot-product attention of all heads, heads being consecutive runs of d channels. The reference
// keeps one row (one query of one head) at a time: its softmax and all d of its results.

#include "core/ops/attention.h"

#include <algorithm>
#include <cmath>

#include "core/ops/attention_grad.h"
#include "core/ops/elementwise_binary.h"
#include "core/ops/matmul.h"
#include "core/ops/movement.h"
#include "core/ops/op_common.h"
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
  return {call.inputs[0]};
}

Cost cost(const OpCall& call) {
  const Shape &q = call.inputs[0].shape, &k = call.inputs[1].shape;
  const double scores = static_cast<double>(q[0] * call.attrs.i("heads") * q[1] * k[1]);
  Cost cost = streaming_cost(call, 0);
  cost.flops = 4.0 * static_cast<double>(q.elements()) * static_cast<double>(k[1]);  // q kᵀ and p v
  cost.other_flops = 6.0 * scores;                                                   // scale and softmax
  return cost;
}

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const Shape& q = call.inputs[0].shape;
  const int64_t keys = call.inputs[1].shape[1], width = q[2], d = width / call.attrs.i("heads");
  const double scale = 1.0 / std::sqrt(static_cast<double>(d));
  std::vector<double> p(static_cast<size_t>(keys)), result(static_cast<size_t>(d));
  int64_t run_known = -1;  // which run of d results `result` holds
  out[0].fill([&](int64_t i) {
    const int64_t run = i / d;
    if (run != run_known) {
      const int64_t n = i / (q[1] * width), head = i % width / d;
      const double* query = in[0].data.data() + run * d;
      const double* key = in[1].data.data() + n * keys * width + head * d;
      const double* value = in[2].data.data() + n * keys * width + head * d;
      for (int64_t s = 0; s < keys; ++s) p[static_cast<size_t>(s)] = scale * dot(query, key + s * width, d);
      const double maximum = *std::max_element(p.begin(), p.end());
      double total = 0;
      for (double& each : p) total += each = std::exp(each - maximum);
      std::fill(result.begin(), result.end(), 0.0);
      for (int64_t s = 0; s < keys; ++s)
        for (int64_t c = 0; c < d; ++c) result[static_cast<size_t>(c)] += p[static_cast<size_t>(s)] * value[s * width + c];
      for (double& each : result) each /= total;
      run_known = run;
    }
    return result[static_cast<size_t>(i % d)];
  });
}

Value decompose(Builder& b, const OpCall& call, std::span<const Value> in) {
  const Shape& q = call.inputs[0].shape;
  const int64_t n = q[0], keys = call.inputs[1].shape[1], heads = call.attrs.i("heads"), d = q[2] / heads;
  auto per_head = [&](Value x, int64_t tokens) { return permute(b, reshape(b, x, {n, tokens, heads, d}), {0, 2, 1, 3}); };
  const Value scale = b.constant({call.inputs[0].dtype, Shape{}}, {1.0 / std::sqrt(static_cast<double>(d))});
  const Value query = per_head(in[0], q[1]), key = per_head(in[1], keys), value = per_head(in[2], keys);
  const Value scores = mul(b, matmul(b, query, key, {.transpose_b = true}), scale);
  const Value mixed = matmul(b, softmax(b, scores), value);
  return reshape(b, permute(b, mixed, {0, 2, 1, 3}), q);
}

std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) {
  return attention_grads(b, primal.inputs[0], primal.inputs[1], primal.inputs[2], d, primal.call.attrs.i("heads"));
}

Sample sample(int64_t n, int64_t queries, int64_t keys, int64_t heads, int64_t d) {
  const Shape key{n, keys, heads * d};
  return {.inputs = {f32({n, queries, heads * d}), f32(key), f32(key)}, .attrs = {{"heads", heads}}};
}

std::vector<Sample> samples() {
  return {sample(2, 5, 7, 3, 4), sample(1, 1, 1, 1, 1),   sample(2, 9, 77, 2, 8),    sample(1, 16, 333, 2, 40),
          sample(2, 3, 1, 4, 5), sample(1, 6, 6, 1, 160), sample(2, 100, 77, 5, 64), sample(1, 256, 256, 2, 64)};
}

}  // namespace

const OpDef attention_def{
    .name = "attention",
    .summary = "Scaled dot-product attention of all heads at once.",
    .formula = "y = softmax(q kᵀ / √d) v per head, d = C / heads; matches torch.nn.functional.scaled_dot_product_attention",
    .inputs = std::vector<OperandSpec>{{"q", "N,L,C"}, {"k", "N,S,C"}, {"v", "N,S,C"}},
    .attrs = std::vector<AttrSpec>{{"heads", int64_t{1}, "number of heads, consecutive runs of C/heads channels", true}},
    .infer = infer,
    .decompose = DecomposeFn(decompose),
    .vjp = vjp,
    .cost = cost,
    .reference = reference,
    .samples = samples};

Value attention(Builder& b, Value q, Value k, Value v, int64_t heads) {
  return b.op(attention_def, {q, k, v}, {{"heads", heads}});
}

}  // namespace espalier::ops
