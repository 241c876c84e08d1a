#pragma once
// A model's structure as the named pruners know it: how deep each attention module is, and what a published student
// leaves of it.

#include <espalier/sdk.hpp>

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strategies {

// Instead of a depth, in a table of what stays.
inline constexpr int64_t kPairGone = -1;   // the layer goes: resnet and attention module
inline constexpr int64_t kTailGone = -2;   // of the mid block: attention and second resnet go
inline constexpr int64_t kBlockGone = -3;  // of the mid block: all of it goes

/// `path` is an attention module; a resnet in stages that have none. `depth` is its number of transformer blocks, 0 for
/// a resnet.
struct Module {
  std::string_view path;
  int64_t depth;
};

/// A published structure: what it is made from and what it keeps. Modules that `keeps` does not name stay whole.
struct Pattern {
  std::string_view id;              // of the pruner that makes it
  std::string_view teacher;         // what the teacher is called in messages
  std::span<const Module> expects;  // every layer of the teacher
  std::span<const Module> keeps;
  bool inner_stage_gone = false;  // the innermost stage and the mid block go
};

/// Transformer blocks by attention module, 0 for resnets without attention; in execution order.
inline std::vector<std::pair<std::string, int64_t>> layers_of(const esp::prune_view& model) {
  std::vector<std::pair<std::string, int64_t>> layers;
  std::map<std::string, size_t, std::less<>> at;
  for (const esp::unit& u : model.units()) {
    if (u.kind() == ESP_UNIT_RESNET) layers.emplace_back(u.path(), 0);
    if (u.kind() == ESP_UNIT_ATTENTION) {
      at[std::string(u.path())] = layers.size();
      layers.emplace_back(u.path(), 0);
    }
    if (u.kind() == ESP_UNIT_TRANSFORMER_BLOCK) ++layers[at.find(u.module())->second].second;
  }
  return layers;
}

inline std::string depth_text(const std::string& path, int64_t depth) {
  if (path.find(".resnets.") != std::string::npos) return "this resnet";
  return std::to_string(depth) + (depth == 1 ? " transformer block" : " transformer blocks");
}

/// Refuses a model that is not of `expects`' structure, naming what differs. Widths are free.
inline void require_structure(const esp::prune_view& model, const Pattern& pattern) {
  constexpr size_t kMostNamed = 4;
  std::vector<std::string> differences;
  std::map<std::string, int64_t, std::less<>> wanted;
  for (const Module& m : pattern.expects) wanted.emplace(m.path, m.depth);
  for (const auto& [path, depth] : layers_of(model)) {
    const auto want = wanted.find(path);
    if (want == wanted.end())
      differences.push_back(path + " is not in " + std::string(pattern.teacher));
    else if (want->second != depth)
      differences.push_back(path + " has " + depth_text(path, depth) + ", in " + std::string(pattern.teacher) + " " +
                            std::to_string(want->second));
    if (want != wanted.end()) wanted.erase(want);
  }
  for (const auto& [path, depth] : wanted) differences.push_back(path + " is missing");
  if (differences.empty()) return;
  std::string text = "this pruner needs a UNet with the stages and depths of " + std::string(pattern.teacher) + "; ";
  for (size_t i = 0; i < differences.size() && i < kMostNamed; ++i) text += (i > 0 ? "; " : "") + differences[i];
  if (differences.size() > kMostNamed) text += "; and " + std::to_string(differences.size() - kMostNamed) + " more";
  throw esp::invalid(text);
}

}  // namespace strategies
