#pragma once
#include "core/passes/pass.h"

namespace espalier::passes {
/// Gradient checkpointing at the borders of units, as far as `context.recompute_above_bytes` asks for it. A unit is the block
/// that a path names: a resnet, a transformer block, a sampler, an attention module without its transformer blocks.
///
/// Of a unit that is recomputed the backward pass keeps only what crosses its border: what it reads, and what other units,
/// losses and outputs read of it. All else that a backward node reads is computed once more, by copies of the forward nodes
/// marked !recompute that stand directly before the first node that needs them. Copies are the same calls on the same
/// values, so that no result changes by a bit. Nodes that work in place, or read what one overwrites, are not repeated.
///
/// Units are taken one after another, each time the one that saves most bytes at the peak for its FLOPs, until the bytes
/// that are live (with the scratch of `context.workspace`) are within the target or nothing lowers the peak; those that
/// turn out not to be needed are then left as they were. Without a target, or within it, the graph comes back unchanged. A
/// target out of reach gives the lowest peak that this search finds: the call list says what it is.
/// The arena that lowering makes of it may be some percent larger than what is live.
/// Cost: for every unit that is taken a few sweeps over the graph; 0.1 s for SDXL as teacher of SSD-1B.
Graph recompute(const Graph& graph, const Context& context);
}  // namespace espalier::passes
