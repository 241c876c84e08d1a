#pragma once
// From "what stays" to rows.

#include <functional>
#include <map>
#include <string>

#include "strategies/prune/common/choose.h"
#include "strategies/prune/common/structure.h"

namespace strategies {

/// Which blocks of the module at `path`, n deep, stay when k shall.
using Choice = std::function<Kept(std::string_view path, int64_t n, int64_t k)>;

/// Removes all transformer blocks of `path` but `k`.
inline void thin(const esp::prune_view& model, esp::prune_plan& out, std::string_view path, int64_t k, const Choice& choose) {
  int64_t n = 0;
  for (const esp::unit& u : model.units())
    if (u.kind() == ESP_UNIT_TRANSFORMER_BLOCK && u.module() == path) n = u.siblings();
  if (k >= n) return;
  const Kept kept = choose(path, n, k);
  const std::string reason = "keeps " + std::to_string(k) + " of " + std::to_string(n);
  for (const esp::unit& u : model.units())
    if (u.kind() == ESP_UNIT_TRANSFORMER_BLOCK && u.module() == path && kept.count(u.index()) == 0) out.remove(u, reason);
}

/// Removes a whole layer: as a pair where it has attention, else as a resnet.
inline void drop_layer(const esp::prune_view& model, esp::prune_plan& out, std::string_view resnet) {
  const bool pair = model.find(resnet, ESP_UNIT_PAIR) != nullptr;
  out.remove(resnet, pair ? ESP_UNIT_PAIR : ESP_UNIT_RESNET, "a layer of this stage that the student does not have");
}

/// Everything that turns the teacher of `pattern` into its student.
inline void follow(const esp::prune_view& model, esp::prune_plan& out, const Pattern& pattern, const Choice& choose) {
  require_structure(model, pattern);
  for (const Module& m : pattern.keeps) {
    if (m.depth == kPairGone)
      drop_layer(model, out, m.path);
    else if (m.depth == kTailGone)
      out.remove("mid_block.attentions.0", ESP_UNIT_MID_TAIL, "the mid block keeps its first resnet alone");
    else if (m.depth == kBlockGone)
      out.remove("mid_block", ESP_UNIT_MID_BLOCK, "the student has no mid block");
    else
      thin(model, out, m.path, m.depth, choose);
  }
  if (!pattern.inner_stage_gone) return;
  for (const esp::unit& u : model.units())
    if (u.kind() == ESP_UNIT_STAGE) out.remove(u, "the student has one stage less");
}

}  // namespace strategies
