#pragma once
#include "core/passes/pass.h"

namespace espalier::passes {
/// Computes in `context.compute` (bf16 or f16) what a graph has in f32: activations, weights, products. Inputs and outputs of the
/// graph keep their types, parameters are read in the narrow one, and these stay as they are: ops that work in place (optimizer
/// states, gradients' sums), sums over whole tensors, which terms of losses are, and timestep embeddings, whose steps up to 1000
/// bf16 cannot tell apart. Kernels accumulate in f32 whatever they read. Absent: the graph comes back unchanged.
///
/// Made of a UNet before autodiff, its backward pass is narrow too, and gradients of f32 inputs come out in f32: the vjp of a
/// cast is a cast. Source: what torch.autocast and diffusers' bf16 training do, with the residual stream narrow as well.
Graph mixed_precision(const Graph& graph, const Context& context);
}  // namespace espalier::passes
