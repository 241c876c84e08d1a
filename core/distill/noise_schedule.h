#pragma once
// How much of the signal is left at each timestep.

#include <string>
#include <vector>

namespace espalier::distill {

struct NoiseSchedule {
  std::string name = "scaled_linear";  // linear | scaled_linear | squaredcos_cap_v2
  int steps = 1000;
  double beta_start = 0.00085, beta_end = 0.012;  // not of squaredcos_cap_v2
};

/// ᾱ of every timestep: the product of 1 - β up to it, in f64, rounded to f32.
///
/// Formula: scaled_linear: √β linear from √beta_start to √beta_end; linear: β linear; squaredcos_cap_v2:
/// β[i] = min(1 - a((i+1)/T) / a(i/T), 0.999), a(t) = cos²((t + 0.008) / 1.008 · π/2).
/// Errors: UserError for another name (nearest), a step count below 2, betas outside (0,1).
/// Source: diffusers' schedulers of these names (beta_schedule).
std::vector<float> alpha_bars(const NoiseSchedule& schedule);

}  // namespace espalier::distill
