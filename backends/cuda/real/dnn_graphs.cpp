// cuDNN's graphs. Dimensions are in cuDNN's order N,C,H,W with NHWC strides; arithmetic is f32 whatever the tensors are.

#include "backends/cuda/real/dnn.h"

#include <cmath>

namespace espalier::cuda {
namespace {

using Tensor = std::shared_ptr<fe::graph::Tensor_attributes>;
using Extents = std::vector<int64_t>;

fe::DataType_t type_of(int32_t dtype) {
  return dtype == ESP_F32 ? fe::DataType_t::FLOAT : dtype == ESP_F16 ? fe::DataType_t::HALF : fe::DataType_t::BFLOAT16;
}

std::shared_ptr<fe::graph::Graph> new_graph(int32_t dtype, int32_t capability) {
  auto graph = std::make_shared<fe::graph::Graph>();
  if (capability > 0) graph->set_sm_version(capability);  // before any node: each copies it
  graph->set_io_data_type(type_of(dtype))
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
  return graph;
}

/// [a,b,c,d] with b fastest: images as N,C,H,W and filters as O,C,KH,KW.
Extents channels_fastest(const Extents& e) { return {e[1] * e[2] * e[3], 1, e[3] * e[1], e[1]}; }

Tensor image(fe::graph::Graph& graph, int64_t uid, const char* name, const Extents& extents) {
  return graph.tensor(
      fe::graph::Tensor_attributes().set_name(name).set_uid(uid).set_dim(extents).set_stride(channels_fastest(extents)));
}
void result(const Tensor& tensor, int64_t uid, const Extents& extents, const Extents& strides, int32_t dtype) {
  tensor->set_output(true).set_uid(uid).set_dim(extents).set_stride(strides).set_data_type(type_of(dtype));
}

template <typename Attributes>
Attributes geometry(const ConvShape& s) {
  return Attributes()
      .set_pre_padding({s.top, s.left})
      .set_post_padding({s.bottom, s.right})
      .set_stride({s.stride, s.stride})
      .set_dilation({1, 1});
}

Extents heads_of(const AttentionShape& s, int64_t tokens) { return {s.n, s.heads, tokens, s.head_dim}; }
/// [N, tokens, heads · head_dim] in memory.
Extents head_strides(const AttentionShape& s, int64_t tokens) {
  return {tokens * s.heads * s.head_dim, s.head_dim, s.heads * s.head_dim, 1};
}
Tensor tokens_of(fe::graph::Graph& graph, const AttentionShape& s, int64_t uid, const char* name, int64_t tokens) {
  return graph.tensor(fe::graph::Tensor_attributes()
                          .set_name(name)
                          .set_uid(uid)
                          .set_dim(heads_of(s, tokens))
                          .set_stride(head_strides(s, tokens)));
}
float scale_of(const AttentionShape& s) { return 1 / std::sqrt(static_cast<float>(s.head_dim)); }

}  // namespace

std::shared_ptr<fe::graph::Graph> convolution_graph(const ConvShape& s, int32_t capability) {
  auto graph = new_graph(s.dtype, capability);
  const Extents x{s.n, s.c, s.h, s.w}, w{s.o, s.c, s.kh, s.kw}, y{s.n, s.o, s.out_h, s.out_w};
  switch (s.kind) {
    case ConvShape::Kind::kForward: {
      Tensor out = graph->conv_fprop(image(*graph, kDnnA, "x", x), image(*graph, kDnnB, "w", w),
                                     geometry<fe::graph::Conv_fprop_attributes>(s));
      if (s.has_bias) {
        out->set_dim(y).set_stride(channels_fastest(y));
        const Tensor bias = image(*graph, kDnnBias, "bias", {1, s.o, 1, 1});
        out = graph->pointwise(out, bias, fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::ADD));
      }
      result(out, kDnnOut, y, channels_fastest(y), s.dtype);
      break;
    }
    case ConvShape::Kind::kGradInput: {
      const Tensor dx = graph->conv_dgrad(image(*graph, kDnnA, "dy", y), image(*graph, kDnnB, "w", w),
                                          geometry<fe::graph::Conv_dgrad_attributes>(s));
      result(dx, kDnnOut, x, channels_fastest(x), s.dtype);
      break;
    }
    case ConvShape::Kind::kGradWeight: {
      const Tensor dw = graph->conv_wgrad(image(*graph, kDnnB, "dy", y), image(*graph, kDnnA, "x", x),
                                          geometry<fe::graph::Conv_wgrad_attributes>(s));
      result(dw, kDnnOut, w, channels_fastest(w), s.dtype);
      break;
    }
  }
  return graph;
}

std::shared_ptr<fe::graph::Graph> attention_graph(const AttentionShape& s, bool statistics, int32_t capability) {
  auto graph = new_graph(s.dtype, capability);
  const auto [out, stats] =
      graph->sdpa(tokens_of(*graph, s, kDnnQ, "q", s.queries), tokens_of(*graph, s, kDnnK, "k", s.keys),
                  tokens_of(*graph, s, kDnnV, "v", s.keys),
                  fe::graph::SDPA_attributes().set_name("attention").set_generate_stats(statistics).set_attn_scale(scale_of(s)));
  result(out, kDnnOut, heads_of(s, s.queries), head_strides(s, s.queries), s.dtype);
  if (statistics) result(stats, kDnnStatistics, {s.n, s.heads, s.queries, 1}, {s.heads * s.queries, s.queries, 1, 1}, ESP_F32);
  return graph;
}

std::shared_ptr<fe::graph::Graph> attention_gradient_graph(const AttentionShape& s, int32_t capability) {
  auto graph = new_graph(s.dtype, capability);
  const Tensor statistics = graph->tensor(fe::graph::Tensor_attributes()
                                              .set_name("statistics")
                                              .set_uid(kDnnStatistics)
                                              .set_dim({s.n, s.heads, s.queries, 1})
                                              .set_stride({s.heads * s.queries, s.queries, 1, 1})
                                              .set_data_type(fe::DataType_t::FLOAT));
  const auto [dq, dk, dv] =
      graph->sdpa_backward(tokens_of(*graph, s, kDnnQ, "q", s.queries), tokens_of(*graph, s, kDnnK, "k", s.keys),
                           tokens_of(*graph, s, kDnnV, "v", s.keys), tokens_of(*graph, s, kDnnOut, "out", s.queries),
                           tokens_of(*graph, s, kDnnD, "d", s.queries), statistics,
                           fe::graph::SDPA_backward_attributes().set_name("attention_grad").set_attn_scale(scale_of(s)));
  result(dq, kDnnGradQ, heads_of(s, s.queries), head_strides(s, s.queries), s.dtype);
  result(dk, kDnnGradK, heads_of(s, s.keys), head_strides(s, s.keys), s.dtype);
  result(dv, kDnnGradV, heads_of(s, s.keys), head_strides(s, s.keys), s.dtype);
  return graph;
}

}  // namespace espalier::cuda
