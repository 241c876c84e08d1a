// matmul: batched matrix product; either operand may be stored transposed.

#include "core/ops/matmul.h"

#include "core/ops/op_common.h"
#include "core/ops/registry.h"

namespace espalier::ops {
namespace {

struct Extents {
  int64_t m, n, k, k_of_b;
};

Extents extents(const OpCall& call) {
  const Shape &a = call.inputs[0].shape, &b = call.inputs[1].shape;
  const bool ta = call.attrs.b("transpose_a"), tb = call.attrs.b("transpose_b");
  return {a[ta ? -1 : -2], b[tb ? -2 : -1], a[ta ? -2 : -1], b[tb ? -1 : -2]};
}

std::vector<TensorType> infer(const OpCall& call) {
  need_one_floating_dtype(call);
  need_rank_at_least(call, 0, 2);
  need_rank_at_least(call, 1, 2);
  const Shape &a = call.inputs[0].shape, &b = call.inputs[1].shape;
  bool same_lead = a.rank() == b.rank();
  for (int i = 0; same_lead && i + 2 < a.rank(); ++i) same_lead = a[i] == b[i];
  if (!same_lead) refuse(call, operand(call, 0) + " and " + operand(call, 1) + "; all dimensions but the last two must be equal");
  const Extents e = extents(call);
  if (e.k != e.k_of_b) refuse(call, "a has inner extent " + std::to_string(e.k) + ", b has " + std::to_string(e.k_of_b));
  std::vector<int64_t> dims = a.dims();
  dims[dims.size() - 2] = e.m;
  dims[dims.size() - 1] = e.n;
  return one_result(call, call.inputs[0].dtype, Shape(std::move(dims)));
}

Cost cost(const OpCall& call) {
  Cost cost = streaming_cost(call, 0);
  cost.flops = 2.0 * static_cast<double>(infer(call)[0].shape.elements()) * static_cast<double>(extents(call).k);
  return cost;
}

// The sum of op_common's dot, over strided operands: packed or not, an element has the same bits.
double dot_strided(const double* a, int64_t a_step, const double* b, int64_t b_step, int64_t n) {
  if (a_step == 1 && b_step == 1) return dot(a, b, n);
  double partial[4] = {0, 0, 0, 0};
  const int64_t whole = n / 4 * 4;
  for (int64_t k = 0; k < n; ++k) partial[k < whole ? k % 4 : 0] += a[k * a_step] * b[k * b_step];
  return (partial[0] + partial[1]) + (partial[2] + partial[3]);
}

/// One batch's matrix [rows, columns] as [columns, rows].
std::vector<double> transposed(const double* matrix, int64_t rows, int64_t columns) {
  std::vector<double> result(static_cast<size_t>(rows * columns));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) result[static_cast<size_t>(c * rows + r)] = matrix[r * columns + c];
  return result;
}

void reference(const OpCall& call, std::span<const RefTensor> in, std::span<RefResult> out) {
  const Extents e = extents(call);
  const bool ta = call.attrs.b("transpose_a"), tb = call.attrs.b("transpose_b");
  // A whole product reads every column of b once for each row of a, which is worth packing; a few samples are not.
  const bool pack = !tb && out[0].only.empty();
  std::vector<double> packed;
  int64_t batch_packed = -1;
  out[0].fill([&](int64_t index) {
    const int64_t column = index % e.n, row = index / e.n % e.m, batch = index / (e.n * e.m);
    const double* a = in[0].data.data() + batch * e.m * e.k + row * (ta ? 1 : e.k);
    const double* b = in[1].data.data() + batch * e.k * e.n;
    if (pack && batch != batch_packed) {
      packed = transposed(b, e.k, e.n);
      batch_packed = batch;
    }
    if (pack) return dot_strided(a, ta ? e.m : 1, packed.data() + column * e.k, 1, e.k);
    return dot_strided(a, ta ? e.m : 1, b + column * (tb ? e.k : 1), tb ? 1 : e.n, e.k);
  });
}

// With A and B the products' own operands, dA = d Bᵀ and dB = Aᵀ d; a transposed operand gets the transpose of that.
std::vector<Value> vjp(Builder& b, const Primal& primal, Value d) {
  const Value a = primal.inputs[0], c = primal.inputs[1];
  const bool ta = primal.call.attrs.b("transpose_a"), tb = primal.call.attrs.b("transpose_b");
  const Value d_a = ta ? matmul(b, c, d, {.transpose_a = tb, .transpose_b = true}) : matmul(b, d, c, {.transpose_b = !tb});
  const Value d_c = tb ? matmul(b, d, a, {.transpose_a = true, .transpose_b = ta}) : matmul(b, a, d, {.transpose_a = !ta});
  return {d_a, d_c};
}

Sample sample(const Shape& a, const Shape& b, bool transpose_a, bool transpose_b) {
  return {.inputs = {f32(a), f32(b)}, .attrs = {{"transpose_a", transpose_a}, {"transpose_b", transpose_b}}};
}

std::vector<Sample> samples() {
  return {sample({3, 5}, {5, 4}, false, false),
          sample({2, 5, 3}, {2, 5, 4}, true, false),
          sample({2, 3, 1, 7}, {2, 3, 9, 7}, false, true),
          sample({7, 3}, {5, 7}, true, true),
          sample({1, 1}, {1, 1}, false, false),
          sample({2, 2, 77, 64}, {2, 2, 64, 33}, false, false),
          sample({1, 4, 64, 32}, {1, 4, 77, 32}, false, true),
          sample({130, 96}, {96, 64}, false, false)};
}

}  // namespace

const OpDef matmul_def{.name = "matmul",
                       .summary = "Batched matrix product; leading dimensions are equal.",
                       .formula = "y[…,m,n] = Σ a[…,m,k] · b[…,k,n]; matches torch.matmul of equal ranks",
                       .inputs = std::vector<OperandSpec>{{"a", "…,M,K"}, {"b", "…,K,N"}},
                       .attrs = std::vector<AttrSpec>{{"transpose_a", false, "a is stored as …,K,M"},
                                                      {"transpose_b", false, "b is stored as …,N,K"}},
                       .infer = infer,
                       .decompose = Primitive{},
                       .vjp = vjp,
                       .cost = cost,
                       .reference = reference,
                       .samples = samples};

Value matmul(Builder& b, Value a, Value c, const MatmulAttrs& attrs) {
  return b.op(matmul_def, {a, c}, {{"transpose_a", attrs.transpose_a}, {"transpose_b", attrs.transpose_b}});
}

}  // namespace espalier::ops
