#pragma once
// The inputs of one forward pass as files hold them: which tensors, in which shapes, for which sizes of the graph.

#include <string>
#include <vector>

#include "core/exec/tensor.h"
#include "core/io/tensor_source.h"
#include "core/model/unet_graph.h"

namespace espalier::inspect {

struct RunInputs {
  exec::FloatTensors tensors;        // in the graph's layouts
  model::GraphOptions sizes;         // batch, height, width, tokens; no taps, no gates
  std::vector<std::string> ignored;  // tensors of the file that the model does not read
};

/// Reads `sample`, `timestep`, `encoder_hidden_states`, and `text_embeds` and `time_ids` where the model wants them, in
/// diffusers' layouts. Integer timesteps are taken too.
///
/// Errors: one UserError that lists every tensor that is missing (with the nearest name in the file), has another
/// shape (with what the sizes of the others ask for), another element type than a number, or a timestep that is not within
/// 0 to 999.
RunInputs read_run_inputs(const io::TensorSource& source, const model::BlockTree& tree);

}  // namespace espalier::inspect
