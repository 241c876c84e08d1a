#pragma once
// A graph's gradient against finite differences, in double precision on the ops' own references.

#include <cstdint>
#include <string>
#include <vector>

#include "core/ir/graph.h"
#include "core/ops/interpret.h"

namespace espalier::autodiff {

/// `graph` with one scalar output "loss" — Σ over its floating-point outputs y of Σ y · r, r an input "cotangent.<i>" of y's
/// type; an output that is a scalar already is taken as it is — and one output "d.<name>" for each of `wrt` that it depends on.
struct GradientGraph {
  Graph graph;
  std::vector<Value> wrt;
  std::vector<std::string> not_differentiable;  // "timestep: [timestep_embedding] has no gradient: …", inputs left out of wrt
};

/// Differentiates with respect to every floating-point input and every parameter that is not frozen.
/// Errors: VerifyError when no output is floating point.
GradientGraph with_gradients(const Graph& graph);

struct GradientCheckOptions {
  uint64_t seed = 0;
  int64_t each_up_to = 64;  // elements: a value with more is checked along random directions
  int directions = 12;
  double step = 1e-4;  // of the central differences, extrapolated over it and its half: error O(step⁴)
};

/// How one input or parameter did.
struct GradientRow {
  std::string name;  // of the input or parameter
  std::string path;
  TensorType type;
  bool absent = false;          // the loss does not depend on it, and its differences must be zero
  bool finite = true;           // false: the loss or the gradient is not finite at these numbers, and nothing was compared
  double largest_gradient = 0;  // over elements
  double worst = 0;             // |gradient - difference| along a direction, over largest_gradient · |direction|
};

/// One row for each of `made.wrt`, in order. `source` gives inputs and parameters; cotangents are drawn from `seed`. What
/// stands behind a stop_gradient or in a frozen node keeps its value while the loss is moved.
/// A difference below 1e-8 in absolute terms counts as none.
/// Cost: 4 evaluations of the graph for each direction.
std::vector<GradientRow> check_gradient(const GradientGraph& made, const ops::InterpretSource& source,
                                        const GradientCheckOptions& options = {});

/// Numbers for inputs and parameters where none are given: N(0,1) for inputs, or U[0,1] with `unit_inputs` (for graphs with
/// roots and logarithms of them); N(0, 1/fan-in) for weights, U[0.5,1.5] for parameters of rank 1. A function of seed and name.
ops::InterpretSource random_source(const Graph& graph, uint64_t seed, bool unit_inputs = false);

}  // namespace espalier::autodiff
