#pragma once
// The UNet as a tree of blocks: stage → layer (resnet, attention) → transformer block. Pruning edits this tree; a graph
// and a config are made from it. Every block remembers the teacher's block path that it came from.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/ir/shape.h"
#include "core/model/unet_config.h"

namespace espalier::model {

/// One transformer block of an attention module: attn1, attn2, ff, each after its layer norm and with a residual.
struct TransformerBlock {
  std::string origin;   // teacher block path
  bool padded = false;  // its output projections are zero: an identity that loaders accept
};

struct Attention {
  std::string origin;
  int64_t channels = 0, heads = 0, cross_dim = 0;
  std::vector<TransformerBlock> blocks;
};

struct Resnet {
  std::string origin;
  int64_t in_channels = 0;    // of its input, concatenated skip included
  int64_t skip_channels = 0;  // how many of them are the skip's (up stages)
  int64_t out_channels = 0;
  bool shortcut() const { return in_channels != out_channels; }
};

/// The n-th resnet of a stage and the attention module after it, where the stage has attention.
struct Layer {
  Resnet resnet;
  std::optional<Attention> attention;
};

struct Stage {
  std::string origin;
  int64_t channels = 0;
  bool cross_attention = false;  // CrossAttnDownBlock2D / CrossAttnUpBlock2D
  std::vector<Layer> layers;
  bool sampler = false;  // downsamplers.0 / upsamplers.0
  std::string sampler_origin;
};

/// resnets.0, then (where present) attentions.0 and resnets.1.
struct MidBlock {
  std::string origin;
  std::vector<Resnet> resnets;
  std::optional<Attention> attention;
};

struct BlockTree {
  UNetConfig config;  // of the model that the tree was made from; widths outside the stages come from it
  std::vector<Stage> down;
  std::optional<MidBlock> mid;
  std::vector<Stage> up;
  int64_t resnets() const;
  int64_t transformer_blocks() const;
};

/// The tree that a config describes; every origin is the block's own path. Errors: none beyond parse_config's.
BlockTree build_tree(const UNetConfig& config);
/// The config whose tree is `tree`. Errors: UserError naming what no diffusers config can say (layer counts that differ
/// between stages in a way `layers_per_block` cannot hold, a mid block without its first resnet, …).
UNetConfig config_of(const BlockTree& tree);

/// One tensor of a model in diffusers' names, and the block path that owns it.
struct TensorSpec {
  std::string name;
  Shape shape;         // as in the file: OIHW, [out, in]
  std::string path;    // "down_blocks.0.resnets.1"; "" outside the stages
  std::string origin;  // the teacher's name of this tensor, by the tree's origins
};
/// Every tensor that a model with this tree has, in diffusers' module order. Cost: linear.
std::vector<TensorSpec> tensor_specs(const BlockTree& tree);

/// Block paths of the tree in execution order, with their kind: "stage", "resnet", "attention", "transformer_block",
/// "downsampler", "upsampler", "mid_block", "attn1", "attn2", "ff".
struct BlockRef {
  std::string path;
  std::string kind;
  std::string origin;
};
std::vector<BlockRef> block_refs(const BlockTree& tree);

}  // namespace espalier::model
