#pragma once
// How the noise that a model was trained with is taken away again: the fields of a diffusers scheduler_config.json that DDIM
// and Euler read.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/distill/noise_schedule.h"

namespace espalier::sample {

/// What a model's output is: the noise, √ᾱ·noise - √(1-ᾱ)·latents, or the latents.
enum class Prediction { kEpsilon, kV, kSample };
/// How the steps lie in the training timesteps.
enum class Spacing { kLeading, kTrailing, kLinspace };

struct SchedulerConfig {
  std::string class_name;  // "EulerDiscreteScheduler"; empty where the file does not say
  distill::NoiseSchedule noise;
  bool rescale_betas_zero_snr = false;
  Prediction prediction = Prediction::kEpsilon;
  std::optional<Spacing> spacing;  // absent: the sampler's own default, leading for DDIM and linspace for Euler
  int steps_offset = 0;            // added to every timestep of leading spacing
  bool set_alpha_to_one = true;    // DDIM's last step ends at ᾱ = 1, else at ᾱ[0]
  bool clip_sample = true;         // DDIM clips the predicted latents to ±clip_sample_range
  double clip_sample_range = 1;
  bool final_sigma_min = false;  // Euler's last step ends at the least σ, else at 0
};

/// Reads the text of a scheduler_config.json; absent fields have diffusers' defaults.
///
/// Fields that only other schedulers read are accepted at any value; fields that would change DDIM or Euler and are not
/// implemented (Karras sigmas, thresholding, …) at their default alone.
/// Errors: one UserError "file:line:column: …" for every fault: not JSON, unknown fields (nearest), wrong kinds, values that are
/// not implemented.
/// Source: DDIMScheduler and EulerDiscreteScheduler of diffusers 0.42.
SchedulerConfig parse_scheduler_config(std::string_view json, std::string_view file);
/// The same of a file. Errors: also those of read_text.
SchedulerConfig read_scheduler_config(const std::filesystem::path& file);

/// The text of a scheduler_config.json of that class, every field that its scheduler reads written out, so that diffusers
/// samples as `sampler` ("ddim" or "euler") does here.
/// Guarantees: parse_scheduler_config reads it back to the same sampler.
std::string scheduler_config_text(const SchedulerConfig& config, std::string_view sampler);

/// "epsilon" | "v_prediction" | "sample". Errors: UserError that begins with `place`, with the nearest name.
Prediction prediction_of(std::string_view name, std::string_view place);
/// "linear" | "scaled_linear" | "squaredcos_cap_v2", as it is. Errors: as prediction_of.
std::string schedule_of(std::string_view name, std::string_view place);
/// "leading" | "trailing" | "linspace". Errors: as prediction_of.
Spacing spacing_of(std::string_view name, std::string_view place);
std::string_view name_of(Prediction prediction);
std::string_view name_of(Spacing spacing);

}  // namespace espalier::sample
