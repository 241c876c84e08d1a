#pragma once
// Random sound graphs over the ops, with the shapes of patterns that passes look for, and random values for them.

#include <cstdint>
#include <vector>

#include "core/ir/graph.h"

namespace espalier::testing {

/// A graph of about `steps` random steps; equal for equal arguments in one build. Everything is f64, except gates and
/// the far side of some casts, so that rounding a value twice does not hide in the comparison of two graphs.
/// Values stay within a few orders of magnitude. Some nodes are dead, some stand there twice, one to four are outputs.
Graph random_graph(uint64_t seed, int steps);

/// Values of an input or parameter node, a function of seed, label and type: two graphs with one signature get the same.
std::vector<double> random_values(const Node& node, const TensorType& type, uint64_t seed);

}  // namespace espalier::testing
