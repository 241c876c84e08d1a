#include "core/prune/block_address.h"

#include <charconv>

#include "core/base/text.h"

namespace espalier::prune {
namespace {

/// The number that a path component is, written without sign or leading zero.
std::optional<size_t> number(const std::string& text) {
  if (text.empty() || text.size() > 6 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  size_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// `rest` of a path inside a transformer block; nothing when no block has such a part.
bool is_block_part(const std::vector<std::string>& parts, size_t from) {
  return parts.size() == from + 1 && (parts[from] == "attn1" || parts[from] == "attn2" || parts[from] == "ff");
}

/// Finishes an address that has arrived at an attention module.
std::optional<BlockAddress> inside_attention(BlockAddress at, const model::Attention& attention,
                                             const std::vector<std::string>& parts, size_t from) {
  at.part = Part::kAttention;
  if (parts.size() == from) return at;
  if (parts[from] != "transformer_blocks" || parts.size() < from + 2) return std::nullopt;
  const auto index = number(parts[from + 1]);
  if (!index || *index >= attention.blocks.size()) return std::nullopt;
  at.block = *index;
  at.part = Part::kTransformerBlock;
  if (parts.size() == from + 2) return at;
  if (!is_block_part(parts, from + 2)) return std::nullopt;
  at.part = Part::kInsideBlock;
  return at;
}

std::optional<BlockAddress> locate_mid(const model::BlockTree& tree, const std::vector<std::string>& parts) {
  if (!tree.mid) return std::nullopt;
  BlockAddress at{Side::kMid, Part::kMidBlock, 0, 0, 0};
  if (parts.size() == 1) return at;
  if (parts.size() < 3) return std::nullopt;
  const auto index = number(parts[2]);
  if (!index) return std::nullopt;
  at.layer = *index;
  if (parts[1] == "resnets") {
    at.part = Part::kResnet;
    return parts.size() == 3 && *index < tree.mid->resnets.size() ? std::optional(at) : std::nullopt;
  }
  if (parts[1] != "attentions" || *index != 0 || !tree.mid->attention) return std::nullopt;
  return inside_attention(at, *tree.mid->attention, parts, 3);
}

}  // namespace

std::optional<BlockAddress> locate(const model::BlockTree& tree, std::string_view path) {
  const std::vector<std::string> parts = split(path, '.');
  if (parts[0] == "mid_block") return locate_mid(tree, parts);
  if ((parts[0] != "down_blocks" && parts[0] != "up_blocks") || parts.size() < 2) return std::nullopt;
  BlockAddress at;
  at.side = parts[0] == "up_blocks" ? Side::kUp : Side::kDown;
  const auto& stages = stages_of(tree, at.side);
  const auto stage_index = number(parts[1]);
  if (!stage_index || *stage_index >= stages.size()) return std::nullopt;
  at.stage = *stage_index;
  const model::Stage& stage = stages[at.stage];
  if (parts.size() == 2) return at;
  const auto index = parts.size() > 3 ? number(parts[3]) : std::nullopt;
  if (!index) return std::nullopt;
  if (parts[2] == (at.side == Side::kUp ? "upsamplers" : "downsamplers")) {
    at.part = Part::kSampler;
    return parts.size() == 4 && *index == 0 && stage.sampler ? std::optional(at) : std::nullopt;
  }
  if (*index >= stage.layers.size()) return std::nullopt;
  at.layer = *index;
  const model::Layer& layer = stage.layers[at.layer];
  if (parts[2] == "resnets") {
    at.part = Part::kResnet;
    return parts.size() == 4 ? std::optional(at) : std::nullopt;
  }
  if (parts[2] != "attentions" || !layer.attention) return std::nullopt;
  return inside_attention(at, *layer.attention, parts, 4);
}

std::string stage_path(Side side, size_t stage) {
  return side == Side::kMid ? "mid_block" : (side == Side::kUp ? "up_blocks." : "down_blocks.") + std::to_string(stage);
}
std::string resnet_path(Side side, size_t stage, size_t layer) {
  return stage_path(side, stage) + ".resnets." + std::to_string(layer);
}
std::string attention_path(Side side, size_t stage, size_t layer) {
  return stage_path(side, stage) + ".attentions." + std::to_string(layer);
}
std::string block_path(Side side, size_t stage, size_t layer, size_t block) {
  return attention_path(side, stage, layer) + ".transformer_blocks." + std::to_string(block);
}
std::string sampler_path(Side side, size_t stage) {
  return stage_path(side, stage) + (side == Side::kUp ? ".upsamplers.0" : ".downsamplers.0");
}

std::string path_of(const BlockAddress& at) {
  switch (at.part) {
    case Part::kStage:
    case Part::kMidBlock:
      return stage_path(at.side, at.stage);
    case Part::kSampler:
      return sampler_path(at.side, at.stage);
    case Part::kResnet:
      return resnet_path(at.side, at.stage, at.layer);
    case Part::kAttention:
      return attention_path(at.side, at.stage, at.layer);
    case Part::kTransformerBlock:
    case Part::kInsideBlock:
      break;
  }
  return block_path(at.side, at.stage, at.layer, at.block);
}

bool is_within(std::string_view path, std::string_view block) {
  return path.substr(0, block.size()) == block && (path.size() == block.size() || path[block.size()] == '.');
}

const model::Attention* attention_at(const model::BlockTree& tree, const BlockAddress& at) {
  const std::optional<model::Attention>& attention =
      at.side == Side::kMid ? tree.mid->attention : stages_of(tree, at.side)[at.stage].layers[at.layer].attention;
  return attention ? &*attention : nullptr;
}

}  // namespace espalier::prune
