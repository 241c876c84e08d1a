#pragma once
// Batches as the gated graph reads them.

#include <vector>

#include "core/data/source.h"
#include "core/exec/tensor.h"

namespace espalier::calibrate {

/// Inputs of a gated graph: sample (noisy), timestep, target, and the conditioning. Formulas: those of build_joint_graph.
struct CalibrationBatch {
  size_t bucket = 0;
  exec::FloatTensors tensors;
};
CalibrationBatch calibration_batch(const data::Batch& batch, const std::vector<float>& alpha_bars, bool predicts_v);

}  // namespace espalier::calibrate
