#pragma once
// What every sampler derives from a scheduler config: the signal left at each training timestep, and which timesteps are used.

#include <vector>

#include "core/sample/scheduler_config.h"

namespace espalier::sample {

/// ᾱ of every training timestep, rescaled to zero terminal SNR where the config says so. The last one is then 0.
/// Formula of the rescaling: √ᾱ' = (√ᾱ - √ᾱ[T-1]) · √ᾱ[0] / (√ᾱ[0] - √ᾱ[T-1]).
/// Source: Lin, Liu, Li, Yang, arXiv 2305.08891, algorithm 1.
std::vector<float> signal_of(const SchedulerConfig& config);

/// The timesteps of a run of `steps` steps, falling; whole numbers where `whole` (linspace has fractions).
/// Errors: UserError for steps outside 1…T, and for a steps_offset that leaves the training's timesteps.
/// Source: table 2 of arXiv 2305.08891; set_timesteps of diffusers, with always `steps` of them.
std::vector<double> spaced_timesteps(const SchedulerConfig& config, Spacing spacing, int steps, bool whole);

}  // namespace espalier::sample
