#pragma once
// Batches from files, replayed: file k is the batch of step k.

#include <filesystem>
#include <memory>
#include <vector>

#include "core/data/source.h"

namespace espalier::data {

/// Opens a recipe's `source = "tensors"`: the batches of `files`, in that order, from the first again after the last; nothing is
/// held out. Each holds latents and noise [N,C,H,W], timestep [N], encoder_hidden_states [N,L,E], and either both or neither of
/// text_embeds [N,P] and time_ids [N,6], as f32, f16, bf16 or f64.
///
/// Errors: UserError with all faults of all files: no files, a tensor that is missing, unknown or of a shape that contradicts the
/// others, a batch of another size than `batch_size`, text tensors of another width than in the first file. At `batch`: a
/// timestep that is no whole number from 0 to 999, a value that is not finite. Cost: opening reads headers only.
std::unique_ptr<Source> open_tensors(const std::vector<std::filesystem::path>& files, int64_t batch_size);

}  // namespace espalier::data
