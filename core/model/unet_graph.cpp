// One function per block of diffusers, in NHWC: a transformer sees [N, H*W, C] as a view of an image. Only attention is
// emitted as a composite; all other fusion is the passes' business. silu of the time embedding is shared by all resnets.

#include "core/model/unet_graph.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/ops/activation.h"
#include "core/ops/attention.h"
#include "core/ops/conv2d.h"
#include "core/ops/elementwise_binary.h"
#include "core/ops/gate.h"
#include "core/ops/geglu.h"
#include "core/ops/group_norm.h"
#include "core/ops/layer_norm.h"
#include "core/ops/linear.h"
#include "core/ops/movement.h"
#include "core/ops/timestep_embedding.h"
#include "core/ops/upsample_nearest.h"

namespace espalier::model {
namespace {

constexpr double kTransformerNormEps = 1e-6, kLayerNormEps = 1e-5;  // fixed in diffusers' modules

/// Whether a gate makes sense: the hidden state that enters has the width of the one that leaves.
bool constant_width(const Resnet& r) { return r.in_channels - r.skip_channels == r.out_channels; }

/// The distinct widths of encoder_hidden_states that attention modules read; the config's where there is no module.
std::vector<int64_t> context_widths(const BlockTree& tree) {
  std::vector<int64_t> widths;
  const auto add = [&](const std::optional<Attention>& a) {
    if (a && std::find(widths.begin(), widths.end(), a->cross_dim) == widths.end()) widths.push_back(a->cross_dim);
  };
  for (const auto* side : {&tree.down, &tree.up})
    for (const Stage& stage : *side)
      for (const Layer& layer : stage.layers) add(layer.attention);
  if (tree.mid) add(tree.mid->attention);
  if (widths.empty()) widths.push_back(tree.config.cross_attention_dim.front());
  return widths;
}

class UNetEmitter {
 public:
  UNetEmitter(const BlockTree& tree, const GraphOptions& options, Graph& graph)
      : tree_(tree), config_(tree.config), options_(options), b_(graph) {}

  void emit() {
    const int64_t n = options_.batch;
    Value sample = b_.input("sample", f32({n, options_.height, options_.width, config_.in_channels}));
    const Value timestep = b_.input("timestep", f32({n}));
    context_ = b_.input("encoder_hidden_states", f32({n, options_.tokens, context_widths(tree_).front()}));
    width_ = tree_.down.front().channels;
    Value text_embeds, time_ids;
    if (config_.has_text_time()) {
      text_embeds = b_.input("text_embeds", f32({n, text_width()}));
      time_ids = b_.input("time_ids", f32({n, 6}));
    }
    if (options_.gates) gates_ = b_.input("gates", f32({static_cast<int64_t>(gate_units(tree_).size())}));
    embed_time(timestep, text_embeds, time_ids);
    Value x = conv(sample, "conv_in", width_, 3);
    skips_.push_back(x);
    for (size_t i = 0; i < tree_.down.size(); ++i) x = down("down_blocks." + std::to_string(i), tree_.down[i], x);
    if (tree_.mid) x = mid(*tree_.mid, x);
    for (size_t i = 0; i < tree_.up.size(); ++i) x = up("up_blocks." + std::to_string(i), tree_.up[i], x);
    x = ops::silu(b_, group_norm(x, "conv_norm_out", config_.norm_eps));
    b_.output("sample", conv(x, "conv_out", config_.out_channels, 3));
    add_taps();
  }

 private:
  int64_t channels(Value x) const { return b_.shape(x).back(); }
  /// Name of a tensor of the current block.
  std::string name(std::string_view tensor) const {
    return b_.path().empty() ? std::string(tensor) : b_.path() + "." + std::string(tensor);
  }
  Value weight(std::string_view module, Shape shape) { return b_.param(name(module) + ".weight", f32(std::move(shape))); }
  // Operands are named one by one below: the order in which nested calls emit nodes would be the compiler's choice.
  Value bias(std::string_view module, int64_t width) { return b_.param(name(module) + ".bias", f32({width})); }

  Value linear(Value x, std::string_view module, int64_t out) {
    const Value w = weight(module, {out, channels(x)}), b = bias(module, out);
    return ops::linear(b_, x, w, b);
  }
  Value linear_without_bias(Value x, std::string_view module, int64_t out) {
    return ops::linear(b_, x, weight(module, {out, channels(x)}));
  }
  /// A 1x1 convolution: in NHWC a linear with a weight of rank 4.
  Value pointwise(Value x, std::string_view module, int64_t out) {
    const Value w = weight(module, {out, channels(x), 1, 1}), b = bias(module, out);
    return ops::linear(b_, x, w, b);
  }
  Value projection(Value x, std::string_view module, int64_t out) {
    return config_.use_linear_projection ? linear(x, module, out) : pointwise(x, module, out);
  }
  Value conv(Value x, std::string_view module, int64_t out, int64_t side, const ops::Conv2dAttrs& attrs = {1, {1, 1, 1, 1}}) {
    const Value w = weight(module, {out, channels(x), side, side}), b = bias(module, out);
    return ops::conv2d(b_, x, w, b, attrs);
  }
  Value group_norm(Value x, std::string_view module, double eps) {
    const int64_t c = channels(x);
    const Value w = weight(module, {c}), b = bias(module, c);
    return ops::group_norm(b_, x, w, b, config_.norm_num_groups, eps);
  }
  Value layer_norm(Value x, std::string_view module) {
    const int64_t c = channels(x);
    const Value w = weight(module, {c}), b = bias(module, c);
    return ops::layer_norm(b_, x, w, b, kLayerNormEps);
  }
  Value gated(Value x, Value y) { return options_.gates ? ops::gate(b_, x, y, gates_, next_gate_++) : y; }
  Value tap(const std::string& path, Value value) {
    tappable_.push_back({path, value});
    return value;
  }

  int64_t text_width() const { return config_.projection_class_embeddings_input_dim - 6 * config_.addition_time_embed_dim; }
  Value sinusoids(Value t, int64_t width) {
    return ops::timestep_embedding(b_, t, {width, config_.flip_sin_to_cos, config_.freq_shift});
  }
  /// linear_1, silu, linear_2
  Value embedding(Value x, const std::string& module) {
    const int64_t wide = width_ * 4;
    return linear(ops::silu(b_, linear(x, module + ".linear_1", wide)), module + ".linear_2", wide);
  }
  void embed_time(Value timestep, Value text_embeds, Value time_ids) {
    Value emb = embedding(sinusoids(timestep, width_), "time_embedding");
    if (config_.has_text_time()) {
      const int64_t n = options_.batch, d = config_.addition_time_embed_dim;
      const Value flat = sinusoids(ops::reshape(b_, time_ids, {6 * n}), d);  // [6N,D]
      const Value joined = ops::concat(b_, {text_embeds, ops::reshape(b_, flat, {n, 6 * d})}, -1);
      emb = ops::add(b_, emb, embedding(joined, "add_embedding"));
    }
    time_ = ops::silu(b_, emb);
  }

  /// `hidden` enters a gate; `x` is what the resnet reads, the skip included.
  Value resnet(const std::string& path, const Resnet& r, Value hidden, Value x) {
    const Scope scope(b_, path);
    Value h = conv(ops::silu(b_, group_norm(x, "norm1", config_.norm_eps)), "conv1", r.out_channels, 3);
    const Value shift = linear(time_, "time_emb_proj", r.out_channels);
    h = ops::add(b_, h, ops::reshape(b_, shift, {options_.batch, 1, 1, r.out_channels}));
    h = conv(ops::silu(b_, group_norm(h, "norm2", config_.norm_eps)), "conv2", r.out_channels, 3);
    const Value shortcut = r.shortcut() ? pointwise(x, "conv_shortcut", r.out_channels) : x;
    Value y = ops::add(b_, h, shortcut);
    if (constant_width(r)) y = gated(hidden, y);
    return tap(path, y);
  }

  Value attend(const std::string& path, Value x, Value context, const Attention& a) {
    const Scope scope(b_, path);
    const Value q = linear_without_bias(x, "to_q", a.channels);
    const Value k = linear_without_bias(context, "to_k", a.channels);
    const Value v = linear_without_bias(context, "to_v", a.channels);
    return linear(ops::attention(b_, q, k, v, a.heads), "to_out.0", a.channels);
  }

  Value transformer_block(const std::string& path, const Attention& a, Value x) {
    const Scope scope(b_, path);
    const Value normed = layer_norm(x, "norm1");
    Value h = ops::add(b_, tap(path + ".attn1", attend(path + ".attn1", normed, normed, a)), x);
    h = ops::add(b_, attend(path + ".attn2", layer_norm(h, "norm2"), context_, a), h);
    const Value wide = layer_norm(h, "norm3");
    {
      const Scope ff(b_, path + ".ff");
      const Value inner = ops::geglu(b_, linear(wide, "net.0.proj", 8 * a.channels));
      h = ops::add(b_, linear(inner, "net.2", a.channels), h);
    }
    return tap(path, gated(x, h));
  }

  /// x[N,H,W,C]; inside, tokens are the pixels.
  Value attention(const std::string& path, const Attention& a, Value x) {
    const Scope scope(b_, path);
    const Shape image = b_.shape(x);
    const Value flat = ops::reshape(b_, x, {image[0], image[1] * image[2], a.channels});
    Value h = projection(group_norm(flat, "norm", kTransformerNormEps), "proj_in", a.channels);
    for (size_t m = 0; m < a.blocks.size(); ++m) h = transformer_block(path + ".transformer_blocks." + std::to_string(m), a, h);
    h = ops::add(b_, projection(h, "proj_out", a.channels), flat);
    return tap(path, gated(x, ops::reshape(b_, h, image)));
  }

  Value layer(const std::string& path, size_t l, const Layer& layer, Value hidden, Value x) {
    x = resnet(path + ".resnets." + std::to_string(l), layer.resnet, hidden, x);
    return layer.attention ? attention(path + ".attentions." + std::to_string(l), *layer.attention, x) : x;
  }

  Value down(const std::string& path, const Stage& stage, Value x) {
    for (size_t l = 0; l < stage.layers.size(); ++l) {
      x = layer(path, l, stage.layers[l], x, x);
      skips_.push_back(x);
    }
    if (stage.sampler) {
      const Scope scope(b_, path + ".downsamplers.0");
      const int64_t pad = config_.downsample_padding;
      // Without padding diffusers adds one row below and one column to the right.
      if (pad == 0 && (b_.shape(x)[1] < 2 || b_.shape(x)[2] < 2))
        throw UserError(
            fmt::format("a latent of {}x{} is too small: nothing is left of it in {}", options_.height, options_.width, path));
      x = conv(x, "conv", stage.channels, 3, {2, {pad, pad, 1, 1}});
      skips_.push_back(x);
    }
    return tap(path, x);
  }

  Value mid(const MidBlock& mid, Value x) {
    for (size_t r = 0; r < mid.resnets.size(); ++r) {
      x = resnet("mid_block.resnets." + std::to_string(r), mid.resnets[r], x, x);
      if (r == 0 && mid.attention) x = attention("mid_block.attentions.0", *mid.attention, x);
    }
    return tap("mid_block", x);
  }

  Value up(const std::string& path, const Stage& stage, Value x) {
    for (size_t l = 0; l < stage.layers.size(); ++l) {
      const Resnet& r = stage.layers[l].resnet;
      ESP_CHECK(!skips_.empty());
      const Value skip = skips_.back();
      skips_.pop_back();
      if (channels(skip) != r.skip_channels || channels(x) + channels(skip) != r.in_channels)
        internal_error(fmt::format("{}.resnets.{} wants {} channels ({} of the skip), gets {} and a skip of {}", path, l,
                                   r.in_channels, r.skip_channels, channels(x), channels(skip)));
      const Scope scope(b_, path + ".resnets." + std::to_string(l));
      x = layer(path, l, stage.layers[l], x, ops::concat(b_, {x, skip}, -1));
    }
    if (stage.sampler) {
      const Scope scope(b_, path + ".upsamplers.0");
      // diffusers doubles, unless the size is not a multiple of the whole factor: then the next skip fixes it.
      ESP_CHECK(!skips_.empty());
      const Shape from = b_.shape(x), next = b_.shape(skips_.back());
      const bool forced = !multiple_of_factor();
      x = ops::upsample_nearest(b_, x, forced ? next[1] : 2 * from[1], forced ? next[2] : 2 * from[2]);
      x = conv(x, "conv", stage.channels, 3);
    }
    return tap(path, x);
  }

  bool multiple_of_factor() const {
    const auto samplers = std::count_if(tree_.up.begin(), tree_.up.end(), [](const Stage& s) { return s.sampler; });
    const int64_t factor = int64_t{1} << samplers;
    return options_.height % factor == 0 && options_.width % factor == 0;
  }

  void add_taps() {
    std::vector<std::string> paths;
    for (const auto& [path, value] : tappable_) paths.push_back(path);
    ErrorList errors;
    for (const std::string& glob : options_.taps)
      if (std::none_of(paths.begin(), paths.end(), [&](const std::string& path) { return glob_match(glob, path); }))
        errors.add(fmt::format("no stage, resnet, attention module, transformer block or attn1 is called '{}'{}", printable(glob),
                               did_you_mean(glob, paths)));
    errors.throw_if_any();
    for (const Tappable& tap : tappable_)
      if (std::any_of(options_.taps.begin(), options_.taps.end(), [&](const std::string& g) { return glob_match(g, tap.path); }))
        b_.output(tap.path, tap.value);
  }

  struct Tappable {
    std::string path;
    Value value;
  };

  const BlockTree& tree_;
  const UNetConfig& config_;
  const GraphOptions& options_;
  Builder b_;
  int64_t width_ = 0;
  Value time_, context_, gates_;
  int64_t next_gate_ = 0;
  std::vector<Value> skips_;
  std::vector<Tappable> tappable_;
};

void add_gate_units(std::vector<std::string>& units, const std::string& path, const Attention& attention) {
  for (size_t m = 0; m < attention.blocks.size(); ++m) units.push_back(path + ".transformer_blocks." + std::to_string(m));
  units.push_back(path);
}

void add_gate_units(std::vector<std::string>& units, const std::string& path, const Stage& stage) {
  for (size_t l = 0; l < stage.layers.size(); ++l) {
    const std::string index = std::to_string(l);
    if (constant_width(stage.layers[l].resnet)) units.push_back(path + ".resnets." + index);
    if (stage.layers[l].attention) add_gate_units(units, path + ".attentions." + index, *stage.layers[l].attention);
  }
}

}  // namespace

Graph build_graph(const BlockTree& tree, const GraphOptions& options) {
  GraphOptions sized = options;
  if (sized.height == 0) sized.height = tree.config.default_height();
  if (sized.width == 0) sized.width = tree.config.default_width();
  ErrorList errors;
  const auto check = [&](const char* what, int64_t value) {
    if (value <= 0 || value >= int64_t{1} << 20) errors.add(fmt::format("{} is {}; it must be 1 to 1048575", what, value));
  };
  if (tree.config.sample_size == 0 && (options.height == 0 || options.width == 0))
    errors.add("the config has no sample_size: give the latent's height and width");
  else
    check("the latent's height", sized.height), check("the latent's width", sized.width);
  check("the batch", sized.batch);
  check("the number of tokens", sized.tokens);
  if (context_widths(tree).size() > 1)
    errors.add("stages with different cross_attention_dim need several encoder_hidden_states; one is implemented");
  errors.throw_if_any();
  Graph graph;
  graph.name = "unet";
  UNetEmitter(tree, sized, graph).emit();
  return graph;
}

std::vector<std::string> gate_units(const BlockTree& tree) {
  std::vector<std::string> units;
  for (size_t i = 0; i < tree.down.size(); ++i) add_gate_units(units, "down_blocks." + std::to_string(i), tree.down[i]);
  if (tree.mid)
    for (size_t r = 0; r < tree.mid->resnets.size(); ++r) {
      units.push_back("mid_block.resnets." + std::to_string(r));
      if (r == 0 && tree.mid->attention) add_gate_units(units, "mid_block.attentions.0", *tree.mid->attention);
    }
  for (size_t i = 0; i < tree.up.size(); ++i) add_gate_units(units, "up_blocks." + std::to_string(i), tree.up[i]);
  return units;
}

}  // namespace espalier::model
