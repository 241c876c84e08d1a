#pragma once
// A model written again: as a diffusers folder, or as one file with the original names; in another element type if asked.

#include <filesystem>
#include <string>
#include <vector>

#include "core/ir/dtype.h"
#include "core/model/model.h"
#include "core/prune/student_files.h"

namespace espalier::prune {

struct ExportReport {
  std::vector<std::string> notes;  // what did not come along, and why
  uint64_t tensors = 0, bytes = 0;
};

/// Writes the UNet as a diffusers folder: `out`/{config.json,diffusion_pytorch_model.safetensors}; of a pipeline the whole
/// pipeline, its UNet in `out`/unet. `dtype` kNone keeps the element types.
/// Errors: UserError when the model has no weights, `out` exists, or f16 is asked for and a weight is too large for it.
ExportReport export_diffusers(const model::Model& model, const std::filesystem::path& out, DType dtype,
                              const WriteProgress& progress = {});

/// Writes one safetensors file with the original names, the config in its metadata, and the checkpoint's other tensors
/// byte for byte where the model came from one.
/// Errors: UserError when the model has no weights, `out` exists, or f16 is asked for and a weight is too large for it.
ExportReport export_single_file(const model::Model& model, const std::filesystem::path& out, DType dtype,
                                const WriteProgress& progress = {});

}  // namespace espalier::prune
