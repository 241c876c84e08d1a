#pragma once
// Where in a block tree a block path points. Pruning talks in paths and edits by index; this is the way between.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/model/block_tree.h"

namespace espalier::prune {

enum class Side : uint8_t { kDown, kMid, kUp };
enum class Part : uint8_t { kStage, kMidBlock, kSampler, kResnet, kAttention, kTransformerBlock, kInsideBlock };

/// One place in one tree. `layer` counts resnets of the stage (mid: resnets.0, resnets.1; attentions.0 has layer 0).
struct BlockAddress {
  Side side = Side::kDown;
  Part part = Part::kStage;
  size_t stage = 0, layer = 0, block = 0;
  bool operator==(const BlockAddress&) const = default;
};

/// The block of `tree` at `path`, or nothing when there is none.
std::optional<BlockAddress> locate(const model::BlockTree& tree, std::string_view path);
/// The path of an address: the inverse of `locate`, save for kInsideBlock, whose transformer block is named.
std::string path_of(const BlockAddress& at);

std::string stage_path(Side side, size_t stage);
std::string resnet_path(Side side, size_t stage, size_t layer);
std::string attention_path(Side side, size_t stage, size_t layer);
std::string block_path(Side side, size_t stage, size_t layer, size_t block);
std::string sampler_path(Side side, size_t stage);

/// Whether `path` is `block` or lies inside it.
bool is_within(std::string_view path, std::string_view block);

/// Channels of the hidden state that enters a resnet, the concatenated skip left out.
inline int64_t hidden_channels(const model::Resnet& resnet) { return resnet.in_channels - resnet.skip_channels; }
/// Whether the hidden state leaves the resnet as wide as it came, so that it can be bypassed.
inline bool keeps_width(const model::Resnet& resnet) { return hidden_channels(resnet) == resnet.out_channels; }

/// The attention module at an address of side, stage and layer, or null.
const model::Attention* attention_at(const model::BlockTree& tree, const BlockAddress& at);
inline const std::vector<model::Stage>& stages_of(const model::BlockTree& tree, Side side) {
  return side == Side::kUp ? tree.up : tree.down;
}

}  // namespace espalier::prune
