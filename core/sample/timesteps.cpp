#include "core/sample/timesteps.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"

namespace espalier::sample {

std::vector<float> signal_of(const SchedulerConfig& config) {
  std::vector<float> signal = distill::alpha_bars(config.noise);
  if (!config.rescale_betas_zero_snr) return signal;
  const double first = std::sqrt(static_cast<double>(signal.front())), last = std::sqrt(static_cast<double>(signal.back()));
  for (float& each : signal) {
    const double root = (std::sqrt(static_cast<double>(each)) - last) * first / (first - last);
    each = static_cast<float>(root * root);
  }
  return signal;
}

std::vector<double> spaced_timesteps(const SchedulerConfig& config, Spacing spacing, int steps, bool whole) {
  const int training = config.noise.steps;
  if (steps < 1 || steps > training)
    throw UserError(
        fmt::format("[sample] a run has 1 to {} steps, one for each training timestep at most, not {}", training, steps));
  std::vector<double> timesteps;
  if (spacing == Spacing::kLeading) {
    const int stride = training / steps;
    for (int i = steps - 1; i >= 0; --i) timesteps.push_back(i * stride + config.steps_offset);
  } else if (spacing == Spacing::kTrailing) {
    // The stride as the difference of the first two timesteps: it is rounded as numpy.arange rounds it, which decides ties.
    const double total = training, stride = total - (total - total / steps);
    for (int i = 0; i < steps; ++i) timesteps.push_back(std::nearbyint(total - i * stride) - 1);
  } else {
    const double stride = steps > 1 ? static_cast<double>(training - 1) / (steps - 1) : 0;
    for (int i = steps - 1; i >= 0; --i) {
      const double at = i + 1 == steps && steps > 1 ? training - 1 : i * stride;
      timesteps.push_back(whole ? std::nearbyint(at) : static_cast<double>(static_cast<float>(at)));
    }
  }
  if (timesteps.front() > training - 1)
    throw UserError(
        fmt::format("[sample] 'steps_offset' {} takes the first of {} steps to timestep {}, but training ended at {}; "
                    "use fewer steps",
                    config.steps_offset, steps, timesteps.front(), training - 1));
  return timesteps;
}

}  // namespace espalier::sample
