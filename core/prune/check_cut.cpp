// Every message names the rows that would complete the plan, because a config says several blocks at once: layer counts
// of a down stage and its mirror, a mid block's tail, the depth of the mid block with that of the last down stage.

#include <fmt/format.h>

#include <algorithm>

#include "core/base/text.h"
#include "core/prune/cut.h"
#include "core/prune/skip_wiring.h"

namespace espalier::prune {
namespace {

using model::BlockTree;
using model::Layer;
using model::Stage;

std::string listed(const std::vector<std::string>& paths) { return join(paths, ", "); }

/// The rows that remove a whole layer: its resnet, and its attention module where it has one.
std::vector<std::string> layer_rows(const BlockTree& tree, Side side, size_t stage, size_t layer) {
  std::vector<std::string> rows = {resnet_path(side, stage, layer)};
  if (stages_of(tree, side)[stage].layers[layer].attention) rows.push_back(attention_path(side, stage, layer));
  return rows;
}

LayerSet removed_layers(const StageCut& cut) {
  LayerSet removed;
  for (size_t i = 0; i < cut.layers.size(); ++i)
    if (cut.layers[i].resnet != kKept) removed.insert(i);
  return removed;
}

LayerSet removable_layers(const Stage& stage) {
  LayerSet layers;
  for (size_t i = 0; i < stage.layers.size(); ++i)
    if (keeps_width(stage.layers[i].resnet)) layers.insert(i);
  return layers;
}

/// The first row that removes a resnet of the stage.
Row first_layer_row(const StageCut& cut) {
  for (const LayerCut& layer : cut.layers)
    if (layer.resnet != kKept) return layer.resnet;
  return kKept;
}

void check_attention_depth(const model::Attention& attention, const LayerCut& cut, const std::string& path, PlanErrors& errors) {
  if (cut.attention != kKept || cut.blocks.empty() || cut.blocks.size() < attention.blocks.size()) return;
  errors.at(cut.blocks.begin()->second,
            fmt::format("{} would have no transformer block left; keep one, or remove the module itself", path));
}

/// The innermost stages go together: stage, mirror stage, mid block, and the downsampler before them.
void check_inner_stages(const BlockTree& tree, Cut& cut, PlanErrors& errors) {
  const size_t stages = tree.down.size();
  std::vector<std::pair<Row, size_t>> asked;  // row, how many innermost stages it asks for
  for (size_t i = 0; i < stages; ++i) {
    if (cut.down[i].whole != kKept) asked.emplace_back(cut.down[i].whole, stages - i);
    if (cut.up[i].whole != kKept) asked.emplace_back(cut.up[i].whole, i + 1);
    if (cut.down[i].sampler != kKept) asked.emplace_back(cut.down[i].sampler, stages - 1 - i);
    if (cut.up[i].sampler != kKept)
      errors.at(cut.up[i].sampler, fmt::format("{} can only go together with its stage; remove {}", sampler_path(Side::kUp, i),
                                               stage_path(Side::kUp, i)));
  }
  if (asked.empty()) return;
  const auto deepest = *std::max_element(asked.begin(), asked.end(), [](auto a, auto b) { return a.second < b.second; });
  const size_t inner = deepest.second;
  if (inner >= stages) {
    errors.at(deepest.first, "the outermost stage cannot be removed; at least one down and one up stage must stay");
    return;
  }
  const size_t last = stages - inner - 1;
  if (tree.down[last].channels != tree.up[inner - 1].channels) {
    errors.at(deepest.first,
              fmt::format("{} cannot be removed: {} is {} wide, the hidden state that leaves {} is {}",
                          errors.plan.removals[static_cast<size_t>(deepest.first)].path, stage_path(Side::kDown, last),
                          tree.down[last].channels, stage_path(Side::kUp, inner - 1), tree.up[inner - 1].channels));
    return;
  }
  std::vector<std::string> missing;
  for (size_t i = 0; i < inner; ++i) {
    if (cut.down[stages - 1 - i].whole == kKept) missing.push_back(stage_path(Side::kDown, stages - 1 - i));
    if (cut.up[i].whole == kKept) missing.push_back(stage_path(Side::kUp, i));
  }
  if (tree.mid && cut.mid.whole == kKept) missing.emplace_back("mid_block");
  if (cut.down[last].sampler == kKept) missing.push_back(sampler_path(Side::kDown, last));
  if (!missing.empty())
    errors.at(asked.front().first,
              fmt::format("{} can only go with the rest of the innermost stage; add {}",
                          errors.plan.removals[static_cast<size_t>(asked.front().first)].path, listed(missing)));
  cut.inner_stages = inner;
}

/// Widths, pairs and attention modules of one stage that stays.
void check_stage(const BlockTree& tree, const Cut& cut, Side side, size_t index, PlanErrors& errors) {
  const Stage& stage = stages_of(tree, side)[index];
  const StageCut& stage_cut = cut.side(side)[index];
  std::vector<std::string> still_attending;
  Row lone_attention = kKept;
  for (size_t i = 0; i < stage.layers.size(); ++i) {
    const Layer& layer = stage.layers[i];
    const LayerCut& removed = stage_cut.layers[i];
    if (removed.resnet != kKept && !keeps_width(layer.resnet))
      errors.at(removed.resnet,
                fmt::format("{} changes the width from {} to {} and cannot be removed", resnet_path(side, index, i),
                            hidden_channels(layer.resnet), layer.resnet.out_channels));
    if (!layer.attention) continue;
    check_attention_depth(*layer.attention, removed, attention_path(side, index, i), errors);
    if (removed.resnet != kKept && removed.attention == kKept)
      errors.at(removed.resnet, fmt::format("{} can only go together with the attention module after it; add {}",
                                            resnet_path(side, index, i), attention_path(side, index, i)));
    if (removed.resnet == kKept && removed.attention == kKept) still_attending.push_back(attention_path(side, index, i));
    if (removed.resnet == kKept && removed.attention != kKept && lone_attention == kKept) lone_attention = removed.attention;
  }
  if (lone_attention != kKept && !still_attending.empty())
    errors.at(
        lone_attention,
        fmt::format("no config has attention in some layers of a stage only; to keep the resnets add {}, or add the resnet of {}",
                    listed(still_attending), errors.plan.removals[static_cast<size_t>(lone_attention)].path));
  if (removed_layers(stage_cut).size() == stage.layers.size())
    errors.at(first_layer_row(stage_cut), fmt::format("{} would have no resnet left", stage_path(side, index)));
}

/// Layer counts and skips of a down stage and its mirror.
void check_mirror(const BlockTree& tree, const Cut& cut, size_t down, PlanErrors& errors) {
  const size_t up = tree.down.size() - 1 - down;
  const LayerSet removed_down = removed_layers(cut.down[down]), removed_up = removed_layers(cut.up[up]);
  const size_t layers = tree.down[down].layers.size();
  if (wiring_agrees(layers, removed_down, removed_up)) return;
  const bool up_lacks = removed_up.size() <= removed_down.size();  // the side to complete, or to choose otherwise
  const bool equal = removed_up.size() == removed_down.size();
  const Side side = up_lacks ? Side::kUp : Side::kDown;
  const size_t index = up_lacks ? up : down;
  const LayerSet& fixed = up_lacks ? removed_up : removed_down;
  std::vector<LayerSet> fitting;
  for (LayerSet& choice : supersets(equal ? LayerSet{} : fixed, removable_layers(stages_of(tree, side)[index]),
                                    std::max(removed_up.size(), removed_down.size())))
    if (up_lacks ? wiring_agrees(layers, removed_down, choice) : wiring_agrees(layers, choice, removed_up))
      fitting.push_back(std::move(choice));
  const bool blame_up = equal || !up_lacks;
  const Row row = first_layer_row(blame_up ? cut.up[up] : cut.down[down]);
  const std::string path = errors.plan.removals[static_cast<size_t>(row)].path;
  std::vector<std::string> rows;
  if (!fitting.empty())
    for (const size_t layer : fitting.back())
      if (equal || fixed.count(layer) == 0)
        for (std::string& r : layer_rows(tree, side, index, layer)) rows.push_back(std::move(r));
  const std::string remedy =
      rows.empty() ? "no choice of layers there makes up for it" : (equal ? "remove " : "add ") + listed(rows);
  if (equal)
    errors.at(row, fmt::format("with {} removed, the layers left in {} would read other skips than in the teacher; {}{}", path,
                               stage_path(side, index), remedy, rows.empty() ? "" : " instead"));
  else
    errors.at(row, fmt::format("{} leaves {} down and {} up layers at this size, a config has one more up than down; {}", path,
                               layers - removed_down.size(), layers + 1 - removed_up.size(), remedy));
}

/// The mid block goes whole, or its attention and second resnet at once; its depth is that of the last down stage.
void check_mid(const BlockTree& tree, const Cut& cut, Expressible expressible, PlanErrors& errors) {
  if (!tree.mid || cut.mid.whole != kKept) return;
  const auto& layers = cut.mid.layers;
  if (layers[0].resnet != kKept)
    errors.at(layers[0].resnet, "no config has a mid block without its first resnet; remove mid_block");
  if (!tree.mid->attention) return;
  check_attention_depth(*tree.mid->attention, layers[0], "mid_block.attentions.0", errors);
  const bool tail_attention = layers[0].attention != kKept, tail_resnet = layers.size() > 1 && layers[1].resnet != kKept;
  if (tail_attention && !tail_resnet)
    errors.at(layers[0].attention, "mid_block.attentions.0 and the second resnet can only go together; add mid_block.resnets.1");
  if (tail_resnet && !tail_attention)
    errors.at(layers[1].resnet, "mid_block.resnets.1 and the attention module can only go together; add mid_block.attentions.0");
  if (tail_attention || tail_resnet || expressible == Expressible::kPadded) return;

  const size_t last = tree.down.size() - 1;
  const model::Attention* first = nullptr;
  const LayerCut* first_cut = nullptr;
  size_t first_layer = 0;
  for (size_t i = 0; i < tree.down[last].layers.size() && first == nullptr; ++i)
    if (tree.down[last].layers[i].attention && cut.down[last].layers[i].attention == kKept) {
      first = &*tree.down[last].layers[i].attention;
      first_cut = &cut.down[last].layers[i];
      first_layer = i;
    }
  if (first == nullptr) return;
  const size_t mid_depth = tree.mid->attention->blocks.size() - layers[0].blocks.size();
  const size_t down_depth = first->blocks.size() - first_cut->blocks.size();
  if (mid_depth == down_depth || errors.plan.removals.empty()) return;
  const bool mid_deeper = mid_depth > down_depth;
  const LayerCut& deeper = mid_deeper ? layers[0] : *first_cut;
  const size_t blocks = mid_deeper ? tree.mid->attention->blocks.size() : first->blocks.size();
  std::vector<std::string> add;
  for (size_t i = blocks; i > 0 && add.size() < (mid_deeper ? mid_depth - down_depth : down_depth - mid_depth); --i)
    if (deeper.blocks.count(i - 1) == 0)
      add.insert(add.begin(),
                 mid_deeper ? block_path(Side::kMid, 0, 0, i - 1) : block_path(Side::kDown, last, first_layer, i - 1));
  const auto& cause = mid_deeper ? first_cut->blocks : layers[0].blocks;
  const Row row = cause.empty() ? 0 : cause.begin()->second;
  errors.at(row, fmt::format("a config gives the mid block the depth of {}: {} and {} blocks would be left; add {}",
                             attention_path(Side::kDown, last, first_layer), mid_depth, down_depth, listed(add)));
}

}  // namespace

void check_cut(const model::BlockTree& teacher, Cut& cut, Expressible expressible, PlanErrors& errors) {
  check_inner_stages(teacher, cut, errors);
  const size_t stages = teacher.down.size() - cut.inner_stages;
  for (size_t i = 0; i < stages; ++i) check_stage(teacher, cut, Side::kDown, i, errors);
  for (size_t i = cut.inner_stages; i < teacher.up.size(); ++i) check_stage(teacher, cut, Side::kUp, i, errors);
  if (!errors.list.empty()) return;  // mirror checks would repeat what was said already
  for (size_t i = 0; i < stages; ++i) check_mirror(teacher, cut, i, errors);
  check_mid(teacher, cut, expressible, errors);
}

}  // namespace espalier::prune
