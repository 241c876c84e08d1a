// One walk over the tree lists the units; one graph prices them. A block's price is the sum over every node whose block
// path lies inside it.

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/model/unet_graph.h"
#include "core/prune/block_address.h"
#include "core/prune/strategy.h"

namespace espalier::prune {
namespace {

using model::BlockTree;
using model::Layer;
using model::Stage;

constexpr int64_t kDefaultSize = 64;  // of a config without sample_size

struct Price {
  int64_t parameters = 0;
  double flops = 0, bytes = 0;
};

int64_t size_of(const BlockTree& tree) { return tree.config.sample_size > 0 ? tree.config.sample_size : kDefaultSize; }

/// Calls f for `path` and every path that contains it.
template <typename F>
void for_each_prefix(const std::string& path, F&& f) {
  for (size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) f(path.substr(0, dot));
  if (!path.empty()) f(path);
}

std::map<std::string, Price> price_blocks(const BlockTree& tree, int64_t size) {
  std::map<std::string, Price> prices;
  for (const model::TensorSpec& spec : model::tensor_specs(tree))
    for_each_prefix(spec.path, [&](const std::string& p) { prices[p].parameters += spec.shape.elements(); });
  model::GraphOptions options;
  options.height = options.width = size;
  const Graph graph = model::build_graph(tree, options);
  for (const Node& node : graph.nodes()) {
    if (node.kind != NodeKind::kOp) continue;
    const Cost cost = (*node.op->cost)(graph.call(node));
    for_each_prefix(node.path, [&](const std::string& p) {
      prices[p].flops += cost.flops;
      prices[p].bytes += cost.bytes_read + cost.bytes_written;
    });
  }
  return prices;
}

class Lister {
 public:
  Lister(const BlockTree& tree, int64_t size) : tree_(tree), size_(size), prices_(price_blocks(tree, size)) {}

  std::vector<Unit> list() {
    for (size_t i = 0; i < tree_.down.size(); ++i) list_stage(Side::kDown, i);
    if (tree_.mid) list_mid();
    for (size_t i = 0; i < tree_.up.size(); ++i) list_stage(Side::kUp, i);
    return std::move(units_);
  }

 private:
  /// Height and width of the hidden state that a stage's layers see.
  int64_t extent(Side side, size_t stage) const {
    const size_t halvings = side == Side::kDown  ? stage
                            : side == Side::kMid ? tree_.down.size() - 1
                                                 : tree_.down.size() - 1 - stage;
    int64_t extent = size_;
    for (size_t i = 0; i < halvings; ++i) extent = (extent + 1) / 2;
    return extent;
  }

  Unit& add(UnitKind kind, std::string path, std::string module, size_t index, size_t siblings, std::vector<std::string> rows) {
    Unit& unit = units_.emplace_back();
    unit.kind = kind;
    unit.path = std::move(path);
    unit.module = std::move(module);
    unit.index = static_cast<int64_t>(index);
    unit.siblings = static_cast<int64_t>(siblings);
    for (const std::string& row : rows.empty() ? std::vector{unit.path} : rows) {
      const Price& price = prices_[row];
      unit.parameters += price.parameters;
      unit.flops += price.flops;
      unit.bytes += price.bytes;
    }
    unit.rows = std::move(rows);
    unit.removable = !unit.rows.empty();
    return unit;
  }
  static void refuse(Unit& unit, std::string why) {
    unit.removable = false;
    unit.why_not = std::move(why);
    unit.rows.clear();
  }
  static void shape(Unit& unit, int64_t in_extent, int64_t in_channels, int64_t out_extent, int64_t out_channels) {
    unit.in_shape = {1, in_extent, in_extent, in_channels};
    unit.out_shape = {1, out_extent, out_extent, out_channels};
  }

  void list_stage(Side side, size_t index) {
    const Stage& stage = stages_of(tree_, side)[index];
    list_stage_itself(side, index, stage);
    for (size_t i = 0; i < stage.layers.size(); ++i) list_layer(side, index, stage, i);
    if (!stage.sampler) return;
    const int64_t in = extent(side, index), out = extent(side, index + 1);
    Unit& sampler = add(UnitKind::kModule, sampler_path(side, index), stage_path(side, index), 0, 1, {});
    shape(sampler, in, stage.channels, out, stage.channels);
    sampler.why_not = "a sampler changes the size of the hidden state";
  }

  void list_stage_itself(Side side, size_t index, const Stage& stage) {
    const size_t stages = tree_.down.size();
    const bool innermost = side == Side::kDown && index + 1 == stages && stages > 1;
    std::vector<std::string> rows;
    if (innermost) {
      rows = {sampler_path(Side::kDown, index - 1), stage_path(Side::kDown, index)};
      if (tree_.mid) rows.emplace_back("mid_block");
      rows.push_back(stage_path(Side::kUp, 0));
    }
    Unit& unit =
        add(innermost ? UnitKind::kStage : UnitKind::kModule, stage_path(side, index), "", index, stages, std::move(rows));
    const int64_t here = extent(side, index);
    const int64_t in_channels = stage.layers.empty() ? stage.channels : hidden_channels(stage.layers.front().resnet);
    shape(unit, here, in_channels, stage.sampler ? extent(side, index + 1) : here, stage.channels);
    if (!innermost) {
      unit.why_not =
          side == Side::kUp && index == 0 ? "goes with the innermost down stage" : "only the innermost stage can be removed";
      return;
    }
    const int64_t before = tree_.down[index - 1].channels, after = tree_.up[0].channels;
    shape(unit, extent(side, index - 1), before, extent(side, index - 1), after);
    if (before != after) refuse(unit, fmt::format("changes the width from {} to {}", before, after));
  }

  /// Paths of the resnets that share a skip with layer `i`.
  std::vector<std::string> partners(Side side, size_t index, size_t i) const {
    const size_t mirror = tree_.down.size() - 1 - index;
    const size_t down_layers = (side == Side::kDown ? tree_.down[index] : tree_.down[mirror]).layers.size();
    if (side == Side::kDown) return {resnet_path(Side::kUp, mirror, down_layers - 1 - i)};
    if (i < down_layers) return {resnet_path(Side::kDown, mirror, down_layers - 1 - i)};
    return {mirror == 0 ? std::string("conv_in") : sampler_path(Side::kDown, mirror - 1)};
  }

  void list_layer(Side side, size_t index, const Stage& stage, size_t i) {
    const Layer& layer = stage.layers[i];
    const int64_t here = extent(side, index);
    const std::string resnet = resnet_path(side, index, i), module = stage_path(side, index);
    const bool only = stage.layers.size() < 2;
    const auto finish = [&](Unit& unit) {
      shape(unit, here, layer.resnet.in_channels, here, layer.resnet.out_channels);
      unit.skip_partners = partners(side, index, i);
      if (!keeps_width(layer.resnet))
        refuse(unit, fmt::format("changes the width from {} to {}", hidden_channels(layer.resnet), layer.resnet.out_channels));
      else if (only)
        refuse(unit, "the last layer of its stage");
    };
    Unit& alone = add(UnitKind::kResnet, resnet, module, i, stage.layers.size(), {resnet});
    finish(alone);
    if (!layer.attention) return;
    refuse(alone, "goes together with the attention module after it");
    const std::string attention = attention_path(side, index, i);
    finish(add(UnitKind::kPair, resnet, module, i, stage.layers.size(), {resnet, attention}));
    list_attention(side, index, i, *layer.attention, stage_attention(side, index), "");
    units_[last_attention_].skip_partners = partners(side, index, i);
  }

  /// The rows that take the attention out of a whole stage: no config has it in some layers only.
  std::vector<std::string> stage_attention(Side side, size_t index) const {
    std::vector<std::string> rows;
    const Stage& stage = stages_of(tree_, side)[index];
    for (size_t i = 0; i < stage.layers.size(); ++i)
      if (stage.layers[i].attention) rows.push_back(attention_path(side, index, i));
    return rows;
  }

  /// `rows`: what the removal of this module means; the first of them carries the unit, the others refer to it.
  void list_attention(Side side, size_t index, size_t layer, const model::Attention& attention,
                      const std::vector<std::string>& rows, const std::string& why_not) {
    const int64_t here = extent(side, index);
    const std::string path = attention_path(side, index, layer);
    const size_t siblings = side == Side::kMid ? 1 : stages_of(tree_, side)[index].layers.size();
    const bool carries = !rows.empty() && rows.front() == path;
    Unit& unit =
        add(UnitKind::kAttention, path, stage_path(side, index), layer, siblings, carries ? rows : std::vector<std::string>{});
    last_attention_ = units_.size() - 1;
    shape(unit, here, attention.channels, here, attention.channels);
    if (!carries) refuse(unit, why_not.empty() ? "goes together with " + rows.front() : why_not);
    for (size_t b = 0; b < attention.blocks.size(); ++b) {
      const std::string block = block_path(side, index, layer, b);
      Unit& one = add(UnitKind::kTransformerBlock, block, path, b, attention.blocks.size(), {block});
      shape(one, here, attention.channels, here, attention.channels);
      if (attention.blocks.size() < 2) refuse(one, "the last transformer block of its module");
    }
  }

  void list_mid() {
    const int64_t here = extent(Side::kMid, 0), channels = tree_.mid->resnets.front().in_channels;
    const bool tail = tree_.mid->attention.has_value();
    const auto resnets = tree_.mid->resnets.size();
    shape(add(UnitKind::kMidBlock, "mid_block", "", 0, 1, {"mid_block"}), here, channels, here, channels);
    for (size_t i = 0; i < resnets; ++i) {
      Unit& resnet = add(UnitKind::kResnet, resnet_path(Side::kMid, 0, i), "mid_block", i, resnets, {});
      shape(resnet, here, channels, here, channels);
      refuse(resnet, i == 0 ? "a mid block keeps its first resnet" : "goes together with the attention module");
      if (i > 0 || !tail) continue;
      const std::string attention = attention_path(Side::kMid, 0, 0);
      shape(add(UnitKind::kMidTail, attention, "mid_block", 0, 1, {attention, resnet_path(Side::kMid, 0, 1)}), here, channels,
            here, channels);
      list_attention(Side::kMid, 0, 0, *tree_.mid->attention, {}, "goes together with the second resnet");
    }
  }

  const BlockTree& tree_;
  int64_t size_;
  std::map<std::string, Price> prices_;
  std::vector<Unit> units_;
  size_t last_attention_ = 0;
};

}  // namespace

ModelPrice price_of(const BlockTree& tree) {
  ModelPrice price;
  for (const model::TensorSpec& spec : model::tensor_specs(tree)) price.parameters += spec.shape.elements();
  model::GraphOptions options;
  options.height = options.width = size_of(tree);
  const Graph graph = model::build_graph(tree, options);
  for (const Node& node : graph.nodes())
    if (node.kind == NodeKind::kOp) price.flops += (*node.op->cost)(graph.call(node)).flops;
  return price;
}

std::vector<Unit> list_units(const BlockTree& tree) { return Lister(tree, size_of(tree)).list(); }

}  // namespace espalier::prune
