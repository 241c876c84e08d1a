#pragma once
// The door of this room.

#include <cstdint>
#include <memory>
#include <vector>

#include "core/data/source.h"
#include "core/lower/backend.h"
#include "core/prune/calibration.h"

namespace espalier::calibrate {

/// What a calibration is made on.
struct CalibrationData {
  data::Source* source = nullptr;  // not owned: batches 0 to batches - 1 of what trains
  int64_t batches = 8;
  std::vector<float> alpha_bars;
  bool predicts_v = false;
  std::shared_ptr<lower::Backend> backend;  // null: the built-in reference
  uint64_t snapshot_bytes = uint64_t{512} << 20;
};

/// Makes nothing until it is asked. `weights` under the names of `tree`; `data.source` must outlive it.
/// Errors of its calls: those of Calibration; of the source; UserError where the batches do not fit the model.
/// Cost: evaluate, a forward pass a batch, then about half of one a set and batch; gate_gradients, a forward and a backward pass
/// a batch; statistics, a forward pass a batch. One executable of the model each, which are not kept.
prune::CalibrationPtr calibrate(const model::BlockTree& tree, const io::TensorSourcePtr& weights, const CalibrationData& data);

}  // namespace espalier::calibrate
