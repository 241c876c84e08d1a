#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/sample/sampler.h"
#include "core/sample/timesteps.h"

namespace espalier::sample {
namespace {

class Ddim final : public Sampler {
 public:
  Ddim(const SchedulerConfig& config, int steps, double eta) : config_(config), signal_(signal_of(config)), eta_(eta) {
    if (!(eta >= 0 && eta <= 1)) throw UserError(fmt::format("[sample] eta lies between 0 and 1, not {:g}", eta));
    timesteps_ = spaced_timesteps(config, config.spacing.value_or(Spacing::kLeading), steps, true);
    stride_ = config.noise.steps / steps;
    const bool from_nothing = signal_[static_cast<size_t>(timesteps_.front())] == 0;
    if (from_nothing && config.prediction == Prediction::kEpsilon)
      throw UserError(
          "[sample] the noise schedule leaves no signal at the first timestep, and a model that predicts epsilon says nothing "
          "about the latents there; it needs prediction_type v_prediction or sample");
  }

  std::string_view name() const override { return "ddim"; }
  double init_noise_scale() const override { return 1; }
  double input_scale(size_t) const override { return 1; }
  bool wants_noise() const override { return eta_ > 0; }

  void step(size_t index, std::span<const float> prediction, std::span<float> sample,
            std::span<const float> noise) const override {
    ESP_CHECK(prediction.size() == sample.size() && noise.size() == (wants_noise() ? sample.size() : 0));
    const auto at = static_cast<int>(timesteps_[index]), next = at - stride_;
    const double signal = signal_[static_cast<size_t>(at)];
    const double next_signal = next >= 0 ? signal_[static_cast<size_t>(next)] : config_.set_alpha_to_one ? 1.0 : signal_[0];
    const double a = std::sqrt(signal), b = std::sqrt(1 - signal);
    const double deviation = eta_ * std::sqrt((1 - next_signal) / (1 - signal) * (1 - signal / next_signal));
    const double next_a = std::sqrt(next_signal), next_b = std::sqrt(std::max(0.0, 1 - next_signal - deviation * deviation));
    for (size_t i = 0; i < sample.size(); ++i) {
      const double x = sample[i], answer = prediction[i];
      double latents = answer, epsilon = answer;
      if (config_.prediction == Prediction::kEpsilon) latents = (x - b * answer) / a;
      if (config_.prediction == Prediction::kSample) epsilon = (x - a * answer) / b;
      if (config_.prediction == Prediction::kV) {
        latents = a * x - b * answer;
        epsilon = a * answer + b * x;
      }
      if (config_.clip_sample) latents = std::clamp(latents, -config_.clip_sample_range, config_.clip_sample_range);
      double result = next_a * latents + next_b * epsilon;
      if (!noise.empty()) result += deviation * noise[i];
      sample[i] = static_cast<float>(result);
    }
  }

 private:
  SchedulerConfig config_;
  std::vector<float> signal_;
  double eta_;
  int stride_ = 1;
};

}  // namespace

std::unique_ptr<Sampler> make_ddim(const SchedulerConfig& config, int steps, double eta) {
  return std::make_unique<Ddim>(config, steps, eta);
}

}  // namespace espalier::sample
