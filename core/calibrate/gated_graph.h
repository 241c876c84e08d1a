#pragma once
// A UNet whose units have gates, with what is measured of it.

#include "core/data/source.h"
#include "core/ir/graph.h"
#include "core/model/block_tree.h"

namespace espalier::calibrate {

/// Inputs: those of the UNet, `gates` f32[U], `target` and `reference` f32[N,H,W,C]. Outputs: "sample", and the scalars "task" =
/// mean((sample - target)²), "output" = mean((sample - reference)²).
Graph score_graph(const model::BlockTree& tree, const data::BatchShape& shape);

/// Of the same inputs: "gradients" f32[U], d task / d gates.
Graph gradient_graph(const model::BlockTree& tree, const data::BatchShape& shape);

/// Of the same inputs: "statistics" f32[U,3]: for each gate's x and y the mean over places of x·y / (|x| |y|), then |y - x|² and
/// |x|² over everything. Each is made where the unit ends, so that nothing of a unit outlives it.
Graph statistics_graph(const model::BlockTree& tree, const data::BatchShape& shape);

}  // namespace espalier::calibrate
