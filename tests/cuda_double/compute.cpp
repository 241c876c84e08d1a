#include "tests/cuda_double/compute.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace espalier::cuda::testing {
namespace {

using Floats = std::vector<float>;

Floats read(int32_t dtype, const void* from, int64_t count) {
  Floats to(static_cast<size_t>(count));
  with_type(dtype, [&](auto t) {
    const auto* p = static_cast<const decltype(t)*>(from);
    for (size_t i = 0; i < to.size(); ++i) {
      if constexpr (sizeof(t) == 4)
        to[i] = p[i];
      else if constexpr (decltype(t)::kIsBF16)
        to[i] = bf16_to_float(p[i].bits);
      else
        to[i] = f16_to_float(p[i].bits);
    }
  });
  return to;
}

void write(int32_t dtype, const Floats& from, void* to) {
  with_type(dtype, [&](auto t) {
    auto* p = static_cast<decltype(t)*>(to);
    for (size_t i = 0; i < from.size(); ++i) {
      if constexpr (sizeof(t) == 4)
        p[i] = from[i];
      else if constexpr (decltype(t)::kIsBF16)
        p[i].bits = float_to_bf16(from[i]);
      else
        p[i].bits = float_to_f16(from[i]);
    }
  });
}

/// d[j, i] += Σ a(i, l) b(l, j) for i < m, j < n: both operands by strides, d by rows of m. Sums of 64 products in f32, these in
/// double: nearer to the truth than any library, and the inner loop over i is a vector's.
void multiply(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_i, int64_t a_l, const float* b, int64_t b_l, int64_t b_j,
              double* d) {
  Floats columns(static_cast<size_t>(m * k)), sum(static_cast<size_t>(m));
  for (int64_t l = 0; l < k; ++l)
    for (int64_t i = 0; i < m; ++i) columns[static_cast<size_t>(l * m + i)] = a[i * a_i + l * a_l];
  for (int64_t j = 0; j < n; ++j)
    for (int64_t l0 = 0; l0 < k; l0 += 64) {
      std::fill(sum.begin(), sum.end(), 0.0f);
      for (int64_t l = l0; l < std::min(l0 + 64, k); ++l) {
        const float factor = b[l * b_l + j * b_j];
        const float* column = columns.data() + l * m;
        for (int64_t i = 0; i < m; ++i) sum[static_cast<size_t>(i)] += factor * column[i];
      }
      for (int64_t i = 0; i < m; ++i) d[j * m + i] += static_cast<double>(sum[static_cast<size_t>(i)]);
    }
}

Floats rounded(const std::vector<double>& wide) { return {wide.begin(), wide.end()}; }

}  // namespace

void compute(const MatmulShape& s, const MatmulOperands& at) {
  const int64_t bytes = s.dtype == ESP_F32 ? 4 : 2;
  const auto part = [&](const void* from, int64_t stride, int64_t i) {
    return static_cast<const char*>(from) + i * stride * bytes;
  };
  const auto spread = [](bool transposed, int64_t ld, int64_t rows, int64_t columns) {
    return transposed ? (rows - 1) * ld + columns : (columns - 1) * ld + rows;
  };
  for (int64_t i = 0; i < s.batch; ++i) {
    const Floats a = read(s.dtype, part(at.a, s.stride_a, i), spread(s.transpose_a, s.lda, s.m, s.k));
    const Floats b = read(s.dtype, part(at.b, s.stride_b, i), spread(s.transpose_b, s.ldb, s.k, s.n));
    std::vector<double> d(static_cast<size_t>(s.m * s.n), 0.0);
    multiply(s.m, s.n, s.k, a.data(), s.transpose_a ? s.lda : 1, s.transpose_a ? 1 : s.lda, b.data(), s.transpose_b ? s.ldb : 1,
             s.transpose_b ? 1 : s.ldb, d.data());
    if (s.has_bias) {
      const Floats bias = read(s.dtype, at.bias, s.m);
      for (size_t e = 0; e < d.size(); ++e) d[e] += static_cast<double>(bias[e % static_cast<size_t>(s.m)]);
    }
    for (int64_t j = 0; j < s.n; ++j) {
      Floats column(static_cast<size_t>(s.m));
      if (s.adds_c) column = read(s.dtype, part(at.c, s.stride_d, i) + j * s.ldd * bytes, s.m);
      for (int64_t r = 0; r < s.m; ++r)
        column[static_cast<size_t>(r)] =
            static_cast<float>(d[static_cast<size_t>(j * s.m + r)] + static_cast<double>(column[static_cast<size_t>(r)]));
      write(s.dtype, column, const_cast<char*>(part(at.d, s.stride_d, i)) + j * s.ldd * bytes);
    }
  }
}

void compute(const ConvShape& s, const ConvOperands& at) {
  using Kind = ConvShape::Kind;
  const int64_t xs = s.n * s.h * s.w * s.c, ys = s.n * s.out_h * s.out_w * s.o, ws = s.o * s.kh * s.kw * s.c,
                pixels = s.n * s.out_h * s.out_w;
  const Floats x = s.kind == Kind::kGradInput ? Floats{} : read(s.dtype, at.a, xs);
  const Floats dy = s.kind == Kind::kForward ? Floats{} : read(s.dtype, s.kind == Kind::kGradInput ? at.a : at.b, ys);
  const Floats w = s.kind == Kind::kGradWeight ? Floats{} : read(s.dtype, at.b, ws);
  std::vector<double> out(static_cast<size_t>(s.kind == Kind::kForward ? ys : s.kind == Kind::kGradInput ? xs : ws), 0.0);
  for (int64_t tap = 0; tap < s.kh * s.kw; ++tap) {
    // Rows of x under this tap, or -1 in the padding.
    std::vector<int64_t> from(static_cast<size_t>(pixels));
    for (int64_t p = 0; p < pixels; ++p) {
      const int64_t row = p / s.out_w % s.out_h * s.stride + tap / s.kw - s.top,
                    column = p % s.out_w * s.stride + tap % s.kw - s.left;
      from[static_cast<size_t>(p)] =
          row < 0 || row >= s.h || column < 0 || column >= s.w ? -1 : (p / (s.out_w * s.out_h) * s.h + row) * s.w + column;
    }
    const auto gathered = [&] {
      Floats rows(static_cast<size_t>(pixels * s.c), 0.0f);
      for (int64_t p = 0; p < pixels; ++p)
        if (from[static_cast<size_t>(p)] >= 0)
          std::copy_n(x.begin() + from[static_cast<size_t>(p)] * s.c, s.c, rows.begin() + p * s.c);
      return rows;
    };
    const int64_t taps_c = s.kh * s.kw * s.c;
    if (s.kind == Kind::kForward) {
      multiply(s.o, pixels, s.c, w.data() + tap * s.c, taps_c, 1, gathered().data(), 1, s.c, out.data());
    } else if (s.kind == Kind::kGradInput) {
      std::vector<double> rows(static_cast<size_t>(pixels * s.c), 0.0);
      multiply(s.c, pixels, s.o, w.data() + tap * s.c, 1, taps_c, dy.data(), 1, s.o, rows.data());
      for (int64_t p = 0; p < pixels; ++p)
        for (int64_t c = 0; c < s.c && from[static_cast<size_t>(p)] >= 0; ++c)
          out[static_cast<size_t>(from[static_cast<size_t>(p)] * s.c + c)] += rows[static_cast<size_t>(p * s.c + c)];
    } else {
      std::vector<double> filters(static_cast<size_t>(s.o * s.c), 0.0);
      multiply(s.c, s.o, pixels, gathered().data(), 1, s.c, dy.data(), s.o, 1, filters.data());
      for (int64_t o = 0; o < s.o; ++o)
        for (int64_t c = 0; c < s.c; ++c)
          out[static_cast<size_t>(o * taps_c + tap * s.c + c)] = filters[static_cast<size_t>(o * s.c + c)];
    }
  }
  if (s.has_bias) {
    const Floats bias = read(s.dtype, at.bias, s.o);
    for (size_t i = 0; i < out.size(); ++i) out[i] += static_cast<double>(bias[i % static_cast<size_t>(s.o)]);
  }
  write(s.dtype, rounded(out), at.out);
}

void compute(const AttentionShape& s, const AttentionOperands& at) {
  const int64_t width = s.heads * s.head_dim, qs = s.n * s.queries * width, ks = s.n * s.keys * width;
  const Floats q = read(s.dtype, at.q, qs), k = read(s.dtype, at.k, ks), v = read(s.dtype, at.v, ks);
  const Floats d = s.gradient ? read(s.dtype, at.d, qs) : Floats{};
  Floats out(static_cast<size_t>(qs)), dq(out.size()), dk(static_cast<size_t>(ks)), dv(dk.size());
  const double scale = 1 / std::sqrt(static_cast<double>(s.head_dim));
  std::vector<double> p(static_cast<size_t>(s.keys));
  std::vector<double> dk_sum(dk.size(), 0.0), dv_sum(dk.size(), 0.0);
  for (int64_t row = 0; row < s.n * s.queries; ++row)
    for (int64_t head = 0; head < s.heads; ++head) {
      const auto qi = static_cast<size_t>(row * width + head * s.head_dim);
      const auto ki = [&](int64_t key) {
        return static_cast<size_t>((row / s.queries * s.keys + key) * width + head * s.head_dim);
      };
      const auto dot = [&](const Floats& a, size_t i, const Floats& b, size_t j) {
        double sum = 0;
        for (size_t e = 0; e < static_cast<size_t>(s.head_dim); ++e)
          sum += static_cast<double>(a[i + e]) * static_cast<double>(b[j + e]);
        return sum;
      };
      double largest = -INFINITY, sum = 0;
      for (int64_t key = 0; key < s.keys; ++key)
        largest = std::max(largest, p[static_cast<size_t>(key)] = scale * dot(q, qi, k, ki(key)));
      for (double& value : p) sum += value = std::exp(value - largest);
      double mean = 0;  // Σ p dp
      for (int64_t key = 0; key < s.keys; ++key) {
        p[static_cast<size_t>(key)] /= sum;
        if (s.gradient) mean += p[static_cast<size_t>(key)] * dot(d, qi, v, ki(key));
      }
      for (int64_t key = 0; key < s.keys; ++key) {
        const double share = p[static_cast<size_t>(key)];
        const double ds = s.gradient ? share * (dot(d, qi, v, ki(key)) - mean) * scale : 0;
        for (size_t e = 0; e < static_cast<size_t>(s.head_dim); ++e) {
          out[qi + e] += static_cast<float>(share * static_cast<double>(v[ki(key) + e]));
          if (!s.gradient) continue;
          dq[qi + e] += static_cast<float>(ds * static_cast<double>(k[ki(key) + e]));
          dk_sum[ki(key) + e] += ds * static_cast<double>(q[qi + e]);
          dv_sum[ki(key) + e] += share * static_cast<double>(d[qi + e]);
        }
      }
    }
  if (!s.gradient) return write(s.dtype, out, at.out);
  write(s.dtype, dq, at.dq);
  write(s.dtype, rounded(dk_sum), at.dk);
  write(s.dtype, rounded(dv_sum), at.dv);
}

}  // namespace espalier::cuda::testing
