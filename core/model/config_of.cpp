// The config is read off the tree, then proved: the tree that it describes must equal the one that it was read from.

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/model/block_tree.h"

namespace espalier::model {
namespace {

std::vector<int64_t> depths_of(const Stage& stage) {
  std::vector<int64_t> row;
  for (const Layer& layer : stage.layers)
    if (layer.attention) row.push_back(static_cast<int64_t>(layer.attention->blocks.size()));
  return row;
}

/// The first attention module of a down stage, of its up stage, or (innermost) of the mid block: they share their
/// heads and context width in a config.
const Attention* attention_at(const BlockTree& tree, size_t stage) {
  for (const Stage* side : {&tree.down[stage], &tree.up[tree.up.size() - 1 - stage]})
    for (const Layer& layer : side->layers)
      if (layer.attention) return &*layer.attention;
  if (stage + 1 == tree.down.size() && tree.mid && tree.mid->attention) return &*tree.mid->attention;
  return nullptr;
}

void check_stages(const BlockTree& tree, ErrorList& errors) {
  if (tree.down.empty() || tree.down.size() != tree.up.size())
    errors.add(fmt::format("no diffusers config has {} down stages and {} up stages", tree.down.size(), tree.up.size()));
  for (const auto* side : {&tree.down, &tree.up})
    for (const Stage& stage : *side) {
      if (stage.layers.empty()) errors.add(fmt::format("{}: no diffusers config has a stage without resnets", stage.origin));
      const auto modules = depths_of(stage).size();
      if (modules != 0 && modules != stage.layers.size())
        errors.add(fmt::format("{}: {} of its {} resnets have an attention module; a diffusers config has all or none",
                               stage.origin, modules, stage.layers.size()));
    }
  if (!errors.empty()) return;
  for (size_t i = 0; i < tree.down.size(); ++i) {
    const Stage &down = tree.down[i], &up = tree.up[tree.up.size() - 1 - i];
    if (up.layers.size() != down.layers.size() + 1)
      errors.add(
          fmt::format("{} has {} resnets and {} has {}; in a diffusers config the up stage has one more (each reads"
                      " one skip)",
                      down.origin, down.layers.size(), up.origin, up.layers.size()));
  }
}

void check_mid(const BlockTree& tree, ErrorList& errors) {
  if (!tree.mid) return;
  const MidBlock& mid = *tree.mid;
  const bool one = mid.resnets.size() == 1 && !mid.attention, whole = mid.resnets.size() == 2 && mid.attention;
  if (!one && !whole)
    errors.add(
        fmt::format("mid_block: {} resnets {} attention; a diffusers config has two resnets with attention, one resnet"
                    " alone, or no mid block",
                    mid.resnets.size(), mid.attention ? "with" : "without"));
  if (!whole || tree.down.empty() || depths_of(tree.down.back()).empty()) return;
  const auto depth = static_cast<int64_t>(mid.attention->blocks.size());
  const int64_t last = depths_of(tree.down.back()).front();
  if (depth != last)
    errors.add(
        fmt::format("mid_block.attentions.0 has {} transformer blocks and {}.attentions.0 has {}; a diffusers config"
                    " gives both one depth",
                    depth, tree.down.back().origin, last));
}

std::string describe(const std::optional<Attention>& a) {
  if (!a) return "no attention module";
  return fmt::format("an attention module of {} channels, {} heads, context {}, depth {}", a->channels, a->heads, a->cross_dim,
                     a->blocks.size());
}

void compare(const std::string& path, const std::optional<Attention>& is, const std::optional<Attention>& said,
             ErrorList& errors) {
  if (describe(is) != describe(said))
    errors.add(fmt::format("{}: it has {}, the nearest diffusers config {}", path, describe(is), describe(said)));
}

void compare(const Resnet& is, const Resnet& said, ErrorList& errors) {
  if (is.in_channels == said.in_channels && is.out_channels == said.out_channels && is.skip_channels == said.skip_channels)
    return;
  errors.add(fmt::format(
      "{}: it goes from {} ({} of the skip) to {} channels, in the nearest diffusers config from {} ({}) to {}", is.origin,
      is.in_channels, is.skip_channels, is.out_channels, said.in_channels, said.skip_channels, said.out_channels));
}

void compare(const Stage& is, const Stage& said, ErrorList& errors) {
  for (size_t l = 0; l < is.layers.size(); ++l) {
    compare(is.layers[l].resnet, said.layers[l].resnet, errors);
    compare(is.layers[l].resnet.origin, is.layers[l].attention, said.layers[l].attention, errors);
  }
  if (is.sampler != said.sampler)
    errors.add(fmt::format("{}: it has {} sampler, in a diffusers config all stages but the last have one", is.origin,
                           is.sampler ? "a" : "no"));
}

UNetConfig read_off(const BlockTree& tree) {
  UNetConfig config = tree.config;
  const size_t stages = tree.down.size();
  config.down_block_types.clear();
  config.up_block_types.clear();
  config.block_out_channels.clear();
  config.layers_per_block.clear();
  config.transformer_layers_per_block.clear();
  config.reverse_transformer_layers_per_block.clear();
  for (size_t i = 0; i < stages; ++i) {
    const Stage& down = tree.down[i];
    config.down_block_types.emplace_back(depths_of(down).empty() ? "DownBlock2D" : "CrossAttnDownBlock2D");
    config.up_block_types.emplace_back(depths_of(tree.up[i]).empty() ? "UpBlock2D" : "CrossAttnUpBlock2D");
    config.block_out_channels.push_back(down.channels);
    config.layers_per_block.push_back(static_cast<int64_t>(down.layers.size()));
    config.transformer_layers_per_block.push_back(depths_of(down));
    config.reverse_transformer_layers_per_block.push_back(depths_of(tree.up[i]));
  }
  config.heads.resize(stages, config.heads.back());
  config.cross_attention_dim.resize(stages, config.cross_attention_dim.back());
  for (size_t i = 0; i < stages; ++i)
    if (const Attention* attention = attention_at(tree, i)) {
      config.heads[i] = attention->heads;
      config.cross_attention_dim[i] = attention->cross_dim;
    }
  config.mid_block_type = std::nullopt;
  if (tree.mid) config.mid_block_type = tree.mid->attention ? "UNetMidBlock2DCrossAttn" : "UNetMidBlock2D";
  config.mid_transformer_layers = tree.mid && tree.mid->attention ? static_cast<int64_t>(tree.mid->attention->blocks.size()) : 1;
  return config;
}

}  // namespace

UNetConfig config_of(const BlockTree& tree) {
  ErrorList errors;
  check_stages(tree, errors);
  check_mid(tree, errors);
  errors.throw_if_any();
  UNetConfig config = read_off(tree);
  const BlockTree said = build_tree(config);
  for (size_t i = 0; i < tree.down.size(); ++i) {
    compare(tree.down[i], said.down[i], errors);
    compare(tree.up[i], said.up[i], errors);
  }
  if (tree.mid) {
    for (size_t r = 0; r < tree.mid->resnets.size(); ++r) compare(tree.mid->resnets[r], said.mid->resnets[r], errors);
    compare("mid_block", tree.mid->attention, said.mid->attention, errors);
  }
  errors.throw_if_any();
  return config;
}

}  // namespace espalier::model
