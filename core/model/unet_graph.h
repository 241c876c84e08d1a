#pragma once
// Block tree → graph, exactly as diffusers computes it (UNet2DConditionModel.forward), in NHWC.

#include <string>
#include <vector>

#include "core/ir/graph.h"
#include "core/model/block_tree.h"

namespace espalier::model {

struct GraphOptions {
  int64_t batch = 1;
  int64_t height = 0, width = 0;  // of the latent; 0: the config's sample_size
  int64_t tokens = 77;
  std::vector<std::string> taps;  // globs over block paths; each match becomes an output of that name
  bool gates = false;             // adds input `gates` f32[U] and one gate op per unit (units in gate_units order)
};

/// Inputs: sample f32[N,H,W,C], timestep f32[N], encoder_hidden_states f32[N,L,E], and text_embeds f32[N,P],
/// time_ids f32[N,6] where the config asks for them. Parameters: f32 in the files' shapes and names (files may hold
/// f16 or bf16; the executor widens). Outputs: "sample" f32[N,H,W,Co], then the taps in execution order, images NHWC.
/// Sizes that are not multiples of the down-sampling factor follow diffusers' upsample_size rule.
/// Errors: UserError for a tap glob that matches nothing (with the nearest paths), or a size of 0.
/// Cost: SDXL in under 0.3 s; reads no weights.
Graph build_graph(const BlockTree& tree, const GraphOptions& options);

/// Block paths of the units that have a gate, in the order of the `gates` input: every transformer block, attention
/// module, resnet of constant width.
std::vector<std::string> gate_units(const BlockTree& tree);

}  // namespace espalier::model
