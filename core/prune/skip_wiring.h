#pragma once
// Which skip feeds which resnet of an up stage, before and after layers are removed. Internal to core/prune.
//
// A down stage of L layers and its mirror up stage share L+1 skips: entry 0 enters the down stage, entry j leaves its layer
// j-1; up layer s reads entry L-s. A removed down layer's entry equals the one before it; a removed up layer drops its own.

#include <cstddef>
#include <set>
#include <vector>

namespace espalier::prune {

using LayerSet = std::set<size_t>;

/// Whether the config's wiring of what is left (last surviving entry to first surviving up layer, and so on) feeds every
/// surviving up layer the value that the teacher's wiring feeds it.
bool wiring_agrees(size_t down_layers, const LayerSet& removed_down, const LayerSet& removed_up);

/// All sets of `count` members of `allowed` that contain `fixed`, in lexicographic order.
std::vector<LayerSet> supersets(const LayerSet& fixed, const LayerSet& allowed, size_t count);

}  // namespace espalier::prune
