#include "core/calibrate/calibration_batch.h"

#include <cmath>

namespace espalier::calibrate {

CalibrationBatch calibration_batch(const data::Batch& batch, const std::vector<float>& alpha_bars, bool predicts_v) {
  CalibrationBatch made{batch.bucket, batch.tensors};
  const exec::FloatTensor &latents = batch.tensors.at("latents"), &noise = batch.tensors.at("noise");
  const std::vector<float>& timestep = batch.tensors.at("timestep").values;
  exec::FloatTensor sample = noise, target = noise;
  const size_t each = latents.values.size() / timestep.size();
  for (size_t i = 0; i < latents.values.size(); ++i) {
    const float share = alpha_bars.at(static_cast<size_t>(timestep[i / each]));
    const float signal = std::sqrt(share), level = std::sqrt(1 - share);
    sample.values[i] = signal * latents.values[i] + level * noise.values[i];
    if (predicts_v) target.values[i] = signal * noise.values[i] - level * latents.values[i];
  }
  made.tensors.erase("latents");
  made.tensors.erase("noise");
  made.tensors["sample"] = std::move(sample);
  made.tensors["target"] = std::move(target);
  return made;
}

}  // namespace espalier::calibrate
