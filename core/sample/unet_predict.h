#pragma once
// A UNet's executable as what predicts.

#include "core/exec/executor.h"
#include "core/sample/sample_latents.h"

namespace espalier::sample {

/// `executor`: of a UNet's graph without taps and gates, built for `rows_at_once` rows; it must outlive the function.
/// Errors of a call: those of exec::run_named and Executor::run.
Predict unet_predict(exec::Executor& executor);

}  // namespace espalier::sample
