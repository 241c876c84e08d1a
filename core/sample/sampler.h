#pragma once
// A sampler: the way from noise to latents in a fixed number of steps. It holds no state of a run, so that one serves many.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/sample/scheduler_config.h"

namespace espalier::sample {

class Sampler {
 public:
  virtual ~Sampler() = default;
  virtual std::string_view name() const = 0;
  /// What the model is told at each step, in the order of the steps.
  const std::vector<double>& timesteps() const { return timesteps_; }
  size_t steps() const { return timesteps_.size(); }
  /// A run starts from standard normal noise times this.
  virtual double init_noise_scale() const = 0;
  /// The model sees the sample times this at step `index`.
  virtual double input_scale(size_t index) const = 0;
  /// Whether `step` takes fresh standard normal noise.
  virtual bool wants_noise() const { return false; }
  /// One step in place: `sample` before the scaling for the model, `prediction` what the model answered. Computed in f64
  /// element by element. `noise`: as long as the sample where wanted, else empty.
  virtual void step(size_t index, std::span<const float> prediction, std::span<float> sample,
                    std::span<const float> noise = {}) const = 0;

 protected:
  std::vector<double> timesteps_;
};

/// Denoising diffusion implicit model; `eta` times the noise of DDPM is put back at each step.
///
/// Formula: x0, ε from the prediction at ᾱ[t]; x0 clipped where the config says so;
/// x = √ᾱ' x0 + √(1-ᾱ'-σ²) ε + σ noise, ᾱ' = ᾱ[t - T/steps] and σ = eta √((1-ᾱ')/(1-ᾱ)) √(1-ᾱ/ᾱ').
/// Errors: UserError for steps outside 1…T, eta outside 0…1, a timestep beyond the training's, and epsilon prediction with
/// betas of zero terminal SNR, from which no latents follow.
/// Source: Song, Meng, Ermon, arXiv 2010.02502, (12) and (16); diffusers' DDIMScheduler.
std::unique_ptr<Sampler> make_ddim(const SchedulerConfig& config, int steps, double eta = 0);

/// Euler's method on the probability flow in σ = √((1-ᾱ)/ᾱ), without churn.
///
/// Formula: x' = x + (σ' - σ)(x - x0)/σ; the model sees x/√(σ²+1).
/// Errors: UserError for steps outside 1…T and a timestep beyond the training's.
/// Source: Karras, Aittala, Aila, Laine, arXiv 2206.00364, algorithm 2; diffusers' EulerDiscreteScheduler.
std::unique_ptr<Sampler> make_euler(const SchedulerConfig& config, int steps);

/// σ before each step and after the last, as make_euler uses them.
std::vector<double> euler_sigmas(const SchedulerConfig& config, int steps);

/// The sampler called "ddim" or "euler"; an empty name is the config's own class.
/// Errors: UserError with the nearest name; when the config's class is neither, what to say instead.
std::unique_ptr<Sampler> make_sampler(std::string_view name, const SchedulerConfig& config, int steps, double eta = 0);

}  // namespace espalier::sample
