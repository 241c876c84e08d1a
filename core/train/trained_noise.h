#pragma once
// The noise that a teacher was trained with: what a recipe's [diffusion] must say too.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/distill/noise_schedule.h"

namespace espalier::train {

struct TrainedNoise {
  std::filesystem::path file;  // the scheduler_config.json that says so; empty: a recipe does
  bool predicts_v = false;
  distill::NoiseSchedule schedule;
};

/// What the scheduler_config.json of `model` (model::find_scheduler_config) says of training; nothing where it has none or a
/// wrong one. How its scheduler steps is not looked at.
///
/// Faults ("file:line:column: …") go to `errors`: not JSON, wrong kinds, and noise that a recipe cannot say: other prediction
/// types and schedules, flow matching and EDM, other than 1000 timesteps, trained betas, betas rescaled to zero SNR. Absent
/// fields have diffusers' defaults (DDIMScheduler of diffusers 0.42): epsilon, linear from 0.0001 to 0.02.
std::optional<TrainedNoise> trained_noise(const std::filesystem::path& model, ErrorList& errors);

/// A key of [diffusion] of which two say different things.
struct NoiseDifference {
  const char* key;
  std::string ours, theirs;  // as a recipe writes them
};

/// Where the two differ; betas only where both have the same schedule and it has any.
std::vector<NoiseDifference> noise_differences(const TrainedNoise& ours, const TrainedNoise& theirs);

}  // namespace espalier::train
