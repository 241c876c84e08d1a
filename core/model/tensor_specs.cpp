// The order is that of diffusers' module registration (a state dict's): both block lists are registered before the mid
// block, and a block's attentions before its resnets.

#include "core/model/block_tree.h"

namespace espalier::model {
namespace {

class Lister {
 public:
  explicit Lister(const BlockTree& tree) : config_(tree.config) {}

  void list(const BlockTree& tree) {
    const int64_t width = tree.down.front().channels, time = width * 4;
    add_root("conv_in", {width, config_.in_channels, 3, 3});
    add_root("time_embedding.linear_1", {time, width});
    add_root("time_embedding.linear_2", {time, time});
    if (config_.has_text_time()) {
      add_root("add_embedding.linear_1", {time, config_.projection_class_embeddings_input_dim});
      add_root("add_embedding.linear_2", {time, time});
    }
    time_ = time;
    for (size_t i = 0; i < tree.down.size(); ++i) stage("down_blocks." + std::to_string(i), tree.down[i], ".downsamplers.0");
    for (size_t i = 0; i < tree.up.size(); ++i) stage("up_blocks." + std::to_string(i), tree.up[i], ".upsamplers.0");
    if (tree.mid) {
      if (tree.mid->attention) attention("mid_block.attentions.0", *tree.mid->attention);
      for (size_t r = 0; r < tree.mid->resnets.size(); ++r)
        resnet("mid_block.resnets." + std::to_string(r), tree.mid->resnets[r]);
    }
    add_root("conv_norm_out", {width});
    add_root("conv_out", {config_.out_channels, width, 3, 3});
  }

  std::vector<TensorSpec> specs;

 private:
  void at(std::string path, std::string origin) {
    path_ = std::move(path);
    origin_ = std::move(origin);
  }
  void tensor(const std::string& name, Shape shape) {
    specs.push_back({path_ + "." + name, std::move(shape), path_, origin_ + "." + name});
  }
  /// weight, and a bias of its first extent.
  void both(const std::string& module, const Shape& weight) {
    tensor(module + ".weight", weight);
    tensor(module + ".bias", {weight[0]});
  }
  void add_root(const std::string& module, const Shape& weight) {
    for (const char* part : {".weight", ".bias"}) {
      const Shape shape = part[1] == 'w' ? weight : Shape{weight[0]};
      specs.push_back({module + part, shape, "", module + part});
    }
  }

  void stage(const std::string& path, const Stage& stage, const char* sampler) {
    for (size_t l = 0; l < stage.layers.size(); ++l)
      if (stage.layers[l].attention) attention(path + ".attentions." + std::to_string(l), *stage.layers[l].attention);
    for (size_t l = 0; l < stage.layers.size(); ++l) resnet(path + ".resnets." + std::to_string(l), stage.layers[l].resnet);
    if (!stage.sampler) return;
    at(path + sampler, stage.sampler_origin);
    both("conv", {stage.channels, stage.channels, 3, 3});
  }

  void resnet(const std::string& path, const Resnet& r) {
    at(path, r.origin);
    both("norm1", {r.in_channels});
    both("conv1", {r.out_channels, r.in_channels, 3, 3});
    both("time_emb_proj", {r.out_channels, time_});
    both("norm2", {r.out_channels});
    both("conv2", {r.out_channels, r.out_channels, 3, 3});
    if (r.shortcut()) both("conv_shortcut", {r.out_channels, r.in_channels, 1, 1});
  }

  void attention(const std::string& path, const Attention& a) {
    const int64_t c = a.channels;
    const Shape projection = config_.use_linear_projection ? Shape{c, c} : Shape{c, c, 1, 1};
    at(path, a.origin);
    both("norm", {c});
    both("proj_in", projection);
    for (size_t m = 0; m < a.blocks.size(); ++m) {
      const std::string block = path + ".transformer_blocks." + std::to_string(m), &origin = a.blocks[m].origin;
      const auto part = [&](const char* name) { at(block + "." + name, origin + "." + name); };
      const auto self = [&] { at(block, origin); };
      self(), both("norm1", {c});
      part("attn1"), attend(c, c);
      self(), both("norm2", {c});
      part("attn2"), attend(c, a.cross_dim);
      self(), both("norm3", {c});
      part("ff"), both("net.0.proj", {8 * c, c}), both("net.2", {c, 4 * c});
    }
    at(path, a.origin);
    both("proj_out", projection);
  }

  void attend(int64_t channels, int64_t context) {
    tensor("to_q.weight", {channels, channels});
    tensor("to_k.weight", {channels, context});
    tensor("to_v.weight", {channels, context});
    both("to_out.0", {channels, channels});
  }

  const UNetConfig& config_;
  int64_t time_ = 0;
  std::string path_, origin_;
};

}  // namespace

std::vector<TensorSpec> tensor_specs(const BlockTree& tree) {
  Lister lister(tree);
  lister.list(tree);
  return std::move(lister.specs);
}

}  // namespace espalier::model
