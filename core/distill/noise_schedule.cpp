#include "core/distill/noise_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/base/error.h"
#include "core/base/text.h"

namespace espalier::distill {
namespace {

double cosine_signal(double t) {
  const double c = std::cos((t + 0.008) / 1.008 * std::numbers::pi / 2);
  return c * c;
}

double beta_at(const NoiseSchedule& s, int i) {
  const double t = static_cast<double>(i) / (s.steps - 1);
  if (s.name == "linear") return s.beta_start + t * (s.beta_end - s.beta_start);
  if (s.name == "scaled_linear") {
    const double root = std::sqrt(s.beta_start) + t * (std::sqrt(s.beta_end) - std::sqrt(s.beta_start));
    return root * root;
  }
  const double steps = s.steps;
  return std::min(1 - cosine_signal((i + 1) / steps) / cosine_signal(i / steps), 0.999);
}

}  // namespace

std::vector<float> alpha_bars(const NoiseSchedule& schedule) {
  const std::vector<std::string> known{"linear", "scaled_linear", "squaredcos_cap_v2"};
  ErrorList errors;
  if (std::find(known.begin(), known.end(), schedule.name) == known.end())
    errors.add("[diffusion] schedule '" + printable(schedule.name) + "' is not known" + did_you_mean(schedule.name, known) +
               "; it is one of " + join(known, ", "));
  if (schedule.steps < 2) errors.add("[diffusion] a schedule has at least 2 steps, not " + std::to_string(schedule.steps));
  for (const double beta : {schedule.beta_start, schedule.beta_end})
    if (!(beta > 0 && beta < 1)) errors.add("[diffusion] beta " + std::to_string(beta) + " is outside (0,1)");
  errors.throw_if_any();
  std::vector<float> signal;
  double product = 1;
  for (int i = 0; i < schedule.steps; ++i) signal.push_back(static_cast<float>(product *= 1 - beta_at(schedule, i)));
  return signal;
}

}  // namespace espalier::distill
