#include "core/prune/skip_wiring.h"

namespace espalier::prune {

bool wiring_agrees(size_t down_layers, const LayerSet& removed_down, const LayerSet& removed_up) {
  if (removed_down.size() != removed_up.size()) return false;
  std::vector<size_t> value(down_layers + 1);  // which entry an entry equals once removed layers are bypassed
  std::vector<size_t> surviving = {0};
  for (size_t entry = 1; entry <= down_layers; ++entry) {
    const bool removed = removed_down.count(entry - 1) > 0;
    value[entry] = removed ? value[entry - 1] : entry;
    if (!removed) surviving.push_back(entry);
  }
  for (size_t slot = 0; slot <= down_layers; ++slot) {
    if (removed_up.count(slot) > 0) continue;
    if (surviving.empty() || value[down_layers - slot] != surviving.back()) return false;
    surviving.pop_back();
  }
  return true;
}

std::vector<LayerSet> supersets(const LayerSet& fixed, const LayerSet& allowed, size_t count) {
  // Grows every set by one member beyond its largest added one, so that each set is made once.
  std::vector<std::pair<LayerSet, size_t>> open = {{fixed, 0}};
  for (size_t size = fixed.size(); size < count; ++size) {
    std::vector<std::pair<LayerSet, size_t>> next;
    for (const auto& [set, from] : open)
      for (const size_t member : allowed)
        if (member >= from && set.count(member) == 0) {
          LayerSet larger = set;
          larger.insert(member);
          next.emplace_back(std::move(larger), member + 1);
        }
    open = std::move(next);
  }
  std::vector<LayerSet> found;
  for (auto& [set, from] : open) found.push_back(std::move(set));
  return found;
}

}  // namespace espalier::prune
