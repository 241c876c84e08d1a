// The widths follow diffusers: the l-th resnet of an up stage sees the hidden state beside the skip that was pushed
// last, so the last resnet of a stage gets the skip of the next outer stage.

#include "core/model/block_tree.h"

#include <algorithm>

namespace espalier::model {
namespace {

std::string numbered(const std::string& base, const char* list, size_t index) {
  return base + "." + list + "." + std::to_string(index);
}

Attention make_attention(const std::string& path, int64_t channels, int64_t heads, int64_t cross_dim, int64_t depth) {
  Attention attention{path, channels, heads, cross_dim, {}};
  for (int64_t m = 0; m < depth; ++m)
    attention.blocks.push_back({numbered(path, "transformer_blocks", static_cast<size_t>(m)), false});
  return attention;
}

Stage down_stage(const UNetConfig& config, size_t i) {
  const std::string path = "down_blocks." + std::to_string(i);
  Stage stage{path, config.block_out_channels[i], config.down_block_types[i] == "CrossAttnDownBlock2D", {}, false, {}};
  for (size_t l = 0; l < static_cast<size_t>(config.layers_per_block[i]); ++l) {
    const int64_t in = l > 0 ? stage.channels : config.block_out_channels[i == 0 ? 0 : i - 1];
    Layer layer{{numbered(path, "resnets", l), in, 0, stage.channels}, std::nullopt};
    if (stage.cross_attention)
      layer.attention = make_attention(numbered(path, "attentions", l), stage.channels, config.heads[i],
                                       config.cross_attention_dim[i], config.transformer_layers_per_block[i][l]);
    stage.layers.push_back(std::move(layer));
  }
  stage.sampler = i + 1 < config.block_out_channels.size();
  if (stage.sampler) stage.sampler_origin = path + ".downsamplers.0";
  return stage;
}

Stage up_stage(const UNetConfig& config, size_t i) {
  const size_t stages = config.block_out_channels.size(), mirrored = stages - 1 - i;
  const std::string path = "up_blocks." + std::to_string(i);
  Stage stage{path, config.block_out_channels[mirrored], config.up_block_types[i] == "CrossAttnUpBlock2D", {}, false, {}};
  const int64_t previous = config.block_out_channels[i == 0 ? stages - 1 : mirrored + 1];
  const int64_t outer = config.block_out_channels[mirrored == 0 ? 0 : mirrored - 1];
  const auto layers = static_cast<size_t>(config.layers_per_block[mirrored]) + 1;
  for (size_t l = 0; l < layers; ++l) {
    const int64_t skip = l + 1 == layers ? outer : stage.channels;
    const int64_t hidden = l == 0 ? previous : stage.channels;
    Layer layer{{numbered(path, "resnets", l), hidden + skip, skip, stage.channels}, std::nullopt};
    if (stage.cross_attention)
      layer.attention = make_attention(numbered(path, "attentions", l), stage.channels, config.heads[mirrored],
                                       config.cross_attention_dim[mirrored], config.reverse_transformer_layers_per_block[i][l]);
    stage.layers.push_back(std::move(layer));
  }
  stage.sampler = i + 1 < stages;
  if (stage.sampler) stage.sampler_origin = path + ".upsamplers.0";
  return stage;
}

std::optional<MidBlock> mid_block(const UNetConfig& config) {
  if (!config.mid_block_type) return std::nullopt;
  const int64_t channels = config.block_out_channels.back();
  MidBlock mid{"mid_block", {{"mid_block.resnets.0", channels, 0, channels}}, std::nullopt};
  if (*config.mid_block_type == "UNetMidBlock2DCrossAttn") {
    mid.attention = make_attention("mid_block.attentions.0", channels, config.heads.back(), config.cross_attention_dim.back(),
                                   config.mid_transformer_layers);
    mid.resnets.push_back({"mid_block.resnets.1", channels, 0, channels});
  }
  return mid;
}

void add_attention(std::vector<BlockRef>& refs, const std::string& path, const Attention& attention) {
  refs.push_back({path, "attention", attention.origin});
  for (size_t m = 0; m < attention.blocks.size(); ++m) {
    const std::string block = numbered(path, "transformer_blocks", m), &origin = attention.blocks[m].origin;
    refs.push_back({block, "transformer_block", origin});
    for (const char* part : {"attn1", "attn2", "ff"}) refs.push_back({block + "." + part, part, origin + "." + part});
  }
}

void add_stage(std::vector<BlockRef>& refs, const std::string& path, const Stage& stage, const char* sampler) {
  refs.push_back({path, "stage", stage.origin});
  for (size_t l = 0; l < stage.layers.size(); ++l) {
    refs.push_back({numbered(path, "resnets", l), "resnet", stage.layers[l].resnet.origin});
    if (stage.layers[l].attention) add_attention(refs, numbered(path, "attentions", l), *stage.layers[l].attention);
  }
  if (stage.sampler) refs.push_back({path + "." + sampler + "s.0", sampler, stage.sampler_origin});
}

template <typename F>
void for_each_layer(const BlockTree& tree, F&& f) {
  for (const auto* side : {&tree.down, &tree.up})
    for (const Stage& stage : *side)
      for (const Layer& layer : stage.layers) f(layer);
}

}  // namespace

int64_t BlockTree::resnets() const {
  auto count = static_cast<int64_t>(mid ? mid->resnets.size() : 0);
  for_each_layer(*this, [&](const Layer&) { ++count; });
  return count;
}

int64_t BlockTree::transformer_blocks() const {
  auto count = static_cast<int64_t>(mid && mid->attention ? mid->attention->blocks.size() : 0);
  for_each_layer(*this, [&](const Layer& layer) {
    if (layer.attention) count += static_cast<int64_t>(layer.attention->blocks.size());
  });
  return count;
}

BlockTree build_tree(const UNetConfig& config) {
  BlockTree tree{config, {}, mid_block(config), {}};
  for (size_t i = 0; i < config.block_out_channels.size(); ++i) {
    tree.down.push_back(down_stage(config, i));
    tree.up.push_back(up_stage(config, i));
  }
  return tree;
}

std::vector<BlockRef> block_refs(const BlockTree& tree) {
  std::vector<BlockRef> refs;
  for (size_t i = 0; i < tree.down.size(); ++i) add_stage(refs, "down_blocks." + std::to_string(i), tree.down[i], "downsampler");
  if (tree.mid) {
    refs.push_back({"mid_block", "mid_block", tree.mid->origin});
    for (size_t r = 0; r < tree.mid->resnets.size(); ++r) {
      refs.push_back({numbered("mid_block", "resnets", r), "resnet", tree.mid->resnets[r].origin});
      if (r == 0 && tree.mid->attention) add_attention(refs, "mid_block.attentions.0", *tree.mid->attention);
    }
  }
  for (size_t i = 0; i < tree.up.size(); ++i) add_stage(refs, "up_blocks." + std::to_string(i), tree.up[i], "upsampler");
  return refs;
}

}  // namespace espalier::model
