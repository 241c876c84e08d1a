#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/sample/sampler.h"
#include "core/sample/timesteps.h"

namespace espalier::sample {
namespace {

/// What stands for ᾱ = 0, whose σ is infinite: the least f16.
constexpr float kLeastSignal = 0x1p-24f;

double sigma_of(float signal) { return std::sqrt((1 - static_cast<double>(signal)) / static_cast<double>(signal)); }

std::vector<double> sigmas_at(const SchedulerConfig& config, const std::vector<double>& timesteps) {
  std::vector<float> signal = signal_of(config);
  if (config.rescale_betas_zero_snr) signal.back() = kLeastSignal;
  std::vector<double> sigmas;
  for (const double t : timesteps) {
    const auto below = static_cast<size_t>(std::floor(t)), above = std::min(below + 1, signal.size() - 1);
    const double part = t - static_cast<double>(below);
    sigmas.push_back((1 - part) * sigma_of(signal[below]) + part * sigma_of(signal[above]));
  }
  sigmas.push_back(config.final_sigma_min ? sigma_of(signal.front()) : 0);
  for (double& sigma : sigmas) sigma = static_cast<float>(sigma);
  if (!std::isfinite(sigmas.front()))
    throw UserError(
        "[sample] the noise schedule leaves no signal at the first timestep, where euler's sigma is infinite; use ddim");
  return sigmas;
}

Spacing spacing_in(const SchedulerConfig& config) { return config.spacing.value_or(Spacing::kLinspace); }

class Euler final : public Sampler {
 public:
  Euler(const SchedulerConfig& config, int steps)
      : prediction_(config.prediction), leading_(spacing_in(config) == Spacing::kLeading) {
    timesteps_ = spaced_timesteps(config, spacing_in(config), steps, false);
    sigmas_ = sigmas_at(config, timesteps_);
  }

  std::string_view name() const override { return "euler"; }
  double init_noise_scale() const override {
    // Leading spacing leaves the last training timesteps out, so that its first sample is latents + σ noise with latents
    // of unit variance; the others begin where next to no latents are left.
    const double most = *std::max_element(sigmas_.begin(), sigmas_.end());
    return leading_ ? std::sqrt(most * most + 1) : most;
  }
  double input_scale(size_t index) const override { return 1 / std::sqrt(sigmas_[index] * sigmas_[index] + 1); }

  void step(size_t index, std::span<const float> prediction, std::span<float> sample, std::span<const float>) const override {
    ESP_CHECK(prediction.size() == sample.size());
    const double sigma = sigmas_[index], change = sigmas_[index + 1] - sigma, square = sigma * sigma + 1;
    for (size_t i = 0; i < sample.size(); ++i) {
      const double x = sample[i], answer = prediction[i];
      double slope = answer;  // (x - x0) / σ
      if (prediction_ == Prediction::kSample) slope = (x - answer) / sigma;
      if (prediction_ == Prediction::kV) slope = (x - (x / square - answer * sigma / std::sqrt(square))) / sigma;
      sample[i] = static_cast<float>(x + slope * change);
    }
  }

 private:
  Prediction prediction_;
  bool leading_;
  std::vector<double> sigmas_;
};

}  // namespace

std::unique_ptr<Sampler> make_euler(const SchedulerConfig& config, int steps) { return std::make_unique<Euler>(config, steps); }

std::vector<double> euler_sigmas(const SchedulerConfig& config, int steps) {
  return sigmas_at(config, spaced_timesteps(config, spacing_in(config), steps, false));
}

}  // namespace espalier::sample
