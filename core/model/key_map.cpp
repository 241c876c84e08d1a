// Three tables of module names; the block indices are counted off the tree. Inside an attention module both layouts use
// the same names.

#include "core/model/key_map.h"

#include "core/base/error.h"

namespace espalier::model {
namespace {

struct Names {
  std::string_view diffusers, original;
};

constexpr Names kRoot[] = {{"conv_in", "input_blocks.0.0"},
                           {"time_embedding.linear_1", "time_embed.0"},
                           {"time_embedding.linear_2", "time_embed.2"},
                           {"add_embedding.linear_1", "label_emb.0.0"},
                           {"add_embedding.linear_2", "label_emb.0.2"},
                           {"conv_norm_out", "out.0"},
                           {"conv_out", "out.2"}};

constexpr Names kResnet[] = {{"norm1", "in_layers.0"},  {"conv1", "in_layers.2"},  {"time_emb_proj", "emb_layers.1"},
                             {"norm2", "out_layers.0"}, {"conv2", "out_layers.3"}, {"conv_shortcut", "skip_connection"}};

constexpr Names kDownsampler[] = {{"conv", "op"}};
constexpr Names kUpsampler[] = {{"conv", "conv"}};

/// A block of diffusers, its place in the original layout, and how the names inside change (none: they do not).
struct Module {
  std::string diffusers, original;
  const Names* names = nullptr;
  size_t count = 0;
};

template <size_t N>
Module module(std::string diffusers, std::string original, const Names (&names)[N]) {
  return {std::move(diffusers), std::move(original), names, N};
}

std::vector<Module> modules_of(const BlockTree& tree) {
  std::vector<Module> out;
  size_t block = 1;  // input_blocks.0 is conv_in
  for (size_t i = 0; i < tree.down.size(); ++i) {
    const std::string stage = "down_blocks." + std::to_string(i);
    for (size_t l = 0; l < tree.down[i].layers.size(); ++l, ++block) {
      const std::string place = "input_blocks." + std::to_string(block), index = std::to_string(l);
      out.push_back(module(stage + ".resnets." + index, place + ".0", kResnet));
      if (tree.down[i].layers[l].attention) out.push_back({stage + ".attentions." + index, place + ".1"});
    }
    if (tree.down[i].sampler)
      out.push_back(module(stage + ".downsamplers.0", "input_blocks." + std::to_string(block++) + ".0", kDownsampler));
  }
  if (tree.mid) {
    out.push_back(module("mid_block.resnets.0", "middle_block.0", kResnet));
    if (tree.mid->attention) out.push_back({"mid_block.attentions.0", "middle_block.1"});
    if (tree.mid->resnets.size() > 1)
      out.push_back(module("mid_block.resnets.1", tree.mid->attention ? "middle_block.2" : "middle_block.1", kResnet));
  }
  block = 0;
  for (size_t i = 0; i < tree.up.size(); ++i) {
    const std::string stage = "up_blocks." + std::to_string(i);
    const auto& layers = tree.up[i].layers;
    for (size_t l = 0; l < layers.size(); ++l, ++block) {
      const std::string place = "output_blocks." + std::to_string(block), index = std::to_string(l);
      out.push_back(module(stage + ".resnets." + index, place + ".0", kResnet));
      if (layers[l].attention) out.push_back({stage + ".attentions." + index, place + ".1"});
      // The upsampler is the last module of the stage's last block.
      if (tree.up[i].sampler && l + 1 == layers.size())
        out.push_back(module(stage + ".upsamplers.0", place + (layers[l].attention ? ".2" : ".1"), kUpsampler));
    }
  }
  return out;
}

/// "norm1.weight" → "in_layers.0.weight" by a table.
std::string renamed(std::string_view tensor, const Names* names, size_t count) {
  if (count == 0) return std::string(tensor);
  const size_t dot = tensor.rfind('.');
  for (size_t i = 0; i < count; ++i)
    if (names[i].diffusers == tensor.substr(0, dot)) return std::string(names[i].original) + std::string(tensor.substr(dot));
  internal_error("no original name for " + std::string(tensor));
}

}  // namespace

KeyMap::KeyMap(const BlockTree& tree) {
  const std::vector<Module> modules = modules_of(tree);
  std::unordered_map<std::string_view, const Module*> by_path;
  for (const Module& m : modules) by_path[m.diffusers] = &m;
  for (const TensorSpec& spec : tensor_specs(tree)) {
    std::string original;
    if (spec.path.empty()) {
      original = renamed(spec.name, kRoot, std::size(kRoot));
    } else {
      // The module is the first four parts of the path: side, stage, list, index (three in the mid block).
      size_t dot = 0;
      for (int parts = spec.name.starts_with("mid_block.") ? 3 : 4; parts > 0; --parts) dot = spec.name.find('.', dot + 1);
      const auto found = by_path.find(std::string_view(spec.name).substr(0, dot));
      ESP_CHECK(found != by_path.end());
      const Module& m = *found->second;
      original = m.original + "." + renamed(std::string_view(spec.name).substr(dot + 1), m.names, m.count);
    }
    by_diffusers_[spec.name] = by_original_[original] = rows_.size();
    rows_.emplace_back(spec.name, std::move(original));
  }
}

std::string KeyMap::original(std::string_view diffusers_name) const {
  const auto found = by_diffusers_.find(std::string(diffusers_name));
  return found == by_diffusers_.end() ? "" : rows_[found->second].second;
}

std::string KeyMap::diffusers(std::string_view original_name) const {
  const auto found = by_original_.find(std::string(original_name));
  return found == by_original_.end() ? "" : rows_[found->second].first;
}

}  // namespace espalier::model
