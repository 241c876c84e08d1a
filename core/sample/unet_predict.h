#pragma once
// A UNet's executable as what predicts.

#include <memory>

#include "core/exec/executor.h"
#include "core/sample/sample_latents.h"

namespace espalier::sample {

/// `executor`: of a UNet's graph without taps and gates, built for `rows_at_once` rows. Shared with copies of the function.
/// Errors of a call: those of exec::run_named and Executor::run.
Predict unet_predict(std::shared_ptr<exec::Executor> executor);

}  // namespace espalier::sample
